import { app } from '../../scripts/app.js'
import { api } from '../../scripts/api.js'

import { stamped, valuesOf } from './stamp_logic.js'

/** @type {any} pack, nodes, files and auto, from the server; null until it has answered */
let stamps = null

// Saved graphs, and those in pictures, say which pack and which files they need and where to get them.
app.registerExtension({
  name: 'ipadapternodes.Stamp',
  async setup() {
    await ask()
  },
  refreshComboInNodes: ask, // files may have come or gone
  nodeCreated(node) {
    const serialized = node.onSerialize
    node.onSerialize = function (data) {
      serialized?.apply(this, arguments)
      if (!stamps?.nodes.includes(this.comfyClass)) return
      const values = valuesOf(this, stamps, adapterOf(this))
      data.properties = stamped(data.properties, stamps, values)
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
  const slot = node.inputs?.findIndex((one) => one.name === 'ipadapter') ?? -1
  const loader = slot < 0 ? null : node.getInputNode?.(slot)
  return loader?.widgets?.find((one) => one.name === 'ipadapter_file')?.value
}
