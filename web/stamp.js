import { app } from '../../scripts/app.js'
import { api } from '../../scripts/api.js'

import { everyNode } from './graph_logic.js'
import { MISSING_ADAPTER, missingFiles, stampedProperties, valuesOf } from './stamp_logic.js'
import { loadWords, say } from './words.js'

/** @type {any} pack, nodes, files, auto and encoders, from the server; null until it has answered */
let stamps = null

// Saved graphs, and those in pictures, say which pack and which files they need and where to get them.
app.registerExtension({
  name: 'ipadapternodes.Stamp',
  async setup() {
    await ask()
  },
  async refreshComboInNodes() {
    await ask() // files may have come or gone
    showAllMissing()
  },
  async afterConfigureGraph() {
    await loadWords(app, api)
    showAllMissing() // before the page looks for missing files
  },
  nodeCreated(node) {
    const serialized = node.onSerialize
    node.onSerialize = function (data) {
      serialized?.apply(this, arguments)
      if (!stamps?.nodes.includes(this.comfyClass)) return
      const values = valuesOf(this, stamps, adapterOf(this))
      data.properties = stampedProperties(data.properties, stamps, values)
    }
  },
})

async function ask() {
  try {
    stamps = await (await api.fetchApi('/ipadapternodes/stamps')).json()
  } catch (error) {
    console.warn('IPAdapter: saved graphs carry no links to model files.', error)
  }
}

/** @param {any} node @returns {string | undefined} the file in the loader on its 'ipadapter' input */
function adapterOf(node) {
  const slot = node.inputs?.findIndex(({ name }) => name === 'ipadapter') ?? -1
  const loader = slot < 0 ? null : node.getInputNode?.(slot)
  return loader?.widgets?.find(({ name }) => name === 'ipadapter_file')?.value
}

function showAllMissing() {
  for (const node of stamps ? everyNode(app.graph.rootGraph ?? app.graph) : []) {
    for (const [name, file] of Object.entries(missingFiles(node, stamps, adapterOf(node)))) showMissing(node, name, file)
  }
}

/**
 * A list with the one file that is not here: the page reads lists alone to find missing files, and 'auto' is no file.
 * It is no part of the saved graph.
 * @param {any} node @param {string} name of the widget @param {string | undefined} file
 */
function showMissing(node, name, file) {
  const widget = node.widgets?.find((/** @type {any} */ candidate) => candidate.name === name)
  if (widget?.value === file) return
  if (widget) node.removeWidget(widget)
  if (!file) return
  const list = node.addWidget('combo', name, file, () => {}, { values: [], serialize: false })
  const text = name === MISSING_ADAPTER ? say('missing adapter') : say('missing encoder')
  // the classic renderer hides the value of a disabled widget
  const label = window.LiteGraph?.vueNodesMode ? text : `${text}: ${file}`
  Object.assign(list, { label, serialize: false, disabled: true })
}
