import { api } from '../../scripts/api.js'
import { app } from '../../scripts/app.js'

import { chain, make, ON_NODE, styleSheet, widgetOf } from './editor.js'
import { greatestHeight, heightOf, NOTE, noteOf, OURS } from './note_logic.js'
import { loadWords } from './words.js'

// The note of a node on its last run: which kind of adapter a file is, how much of a picture was cut off.
app.registerExtension({
  name: 'ipadapternodes.Note',
  setup: () => loadWords(app, api),
  nodeCreated(node) {
    if (OURS.has(node.comfyClass)) chain(node, 'onExecuted', (output) => show(node, noteOf(output)))
  },
})

/** @param {any} node @param {string} text */
function show(node, text) {
  const widget = widgetOf(node, NOTE) ?? (text && addNote(node))
  if (!widget) return
  widget.element.lastChild.textContent = text
  const [width, height] = node.computeSize() // the classic renderer does not grow the node
  node.setSize([Math.max(node.size[0], width), Math.max(node.size[1], height)])
  node.setDirtyCanvas?.(true, true)
}

/** @param {any} node */
function addNote(node) {
  const greatest = greatestHeight(node.comfyClass)
  // the Vue renderer has no other limit than the style
  const element = make('div', { class: 'ipadapter-note', style: `max-height: ${greatest}px` }, styleSheet(), make('span'))
  const widget = node.addDOMWidget(NOTE, NOTE, element, {
    ...ON_NODE,
    getMinHeight: () => heightOf(node.comfyClass, element.lastChild?.textContent ?? '', node.size[0]),
    getMaxHeight: () => greatest,
  })
  widget.serialize = false // the note is no part of the workflow
  return widget
}
