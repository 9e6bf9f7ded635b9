import { api } from '../../scripts/api.js'
import { app } from '../../scripts/app.js'

import { heightsOf, noteOf, OURS } from './note_logic.js'
import { loadWords } from './words.js'

// What a node says of its last run: which kind of adapter a file is, how much of a picture was cut off.
app.registerExtension({
  name: 'ipadapternodes.Note',
  setup: () => loadWords(app, api),
  nodeCreated(node) {
    if (!OURS.has(node.comfyClass)) return
    const executed = node.onExecuted
    node.onExecuted = function (output) {
      executed?.apply(this, arguments)
      show(this, noteOf(output))
    }
  },
})

/** @param {any} node @param {string} text */
function show(node, text) {
  let widget = node.widgets?.find((one) => one.name === 'ipadapter_note')
  if (!widget) {
    if (!text) return
    const element = document.createElement('div')
    element.style.cssText =
      'font: 11px sans-serif; white-space: pre-wrap; overflow: auto; color: var(--input-text, #ccc)'
    const [least, greatest] = heightsOf(node.comfyClass)
    widget = node.addDOMWidget('ipadapter_note', 'ipadapter_note', element, {
      serialize: false,
      getMinHeight: () => least,
      getMaxHeight: () => greatest,
    })
    widget.serialize = false // the note is no part of the workflow
    element.style.maxHeight = `${greatest}px` // the Vue renderer has no other limit
    const [width, height] = node.computeSize() // the classic renderer does not grow the node
    node.setSize([Math.max(node.size[0], width), Math.max(node.size[1], height)])
  }
  widget.element.textContent = text
  node.setDirtyCanvas?.(true, true)
}
