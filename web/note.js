import { app } from '../../scripts/app.js'

import { noteOf, OURS } from './note_logic.js'

// What a node says of its last run: which kind of adapter a file is, how much of a picture was cut off.
app.registerExtension({
  name: 'ipadapternodes.Note',
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
    widget = node.addDOMWidget('ipadapter_note', 'ipadapter_note', element, {
      serialize: false,
      getMinHeight: () => 32,
      getMaxHeight: () => 60,
    })
    widget.serialize = false // the note is no part of the workflow
  }
  widget.element.textContent = text
  node.setDirtyCanvas?.(true, true)
}
