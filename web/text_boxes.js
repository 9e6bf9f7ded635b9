import { app } from '../../scripts/app.js'

import { chain, label } from './editor.js'

// The classic renderer shows no name of a text box that holds text: ours have it above, and as their label.
const OURS = 'ipadapter'
const FONT = '9px sans-serif'
const BASELINE = 8 // pixels below the top of a widget; the box begins at 10
const LEFT = 12

app.registerExtension({
  name: 'ipadapternodes.TextBoxes',
  nodeCreated(node) {
    if (node.constructor.nodeData?.category?.split('/')[0] !== OURS) return
    const boxes = (node.widgets ?? []).filter(({ element }) => element?.tagName === 'TEXTAREA')
    for (const box of boxes) {
      label(box.element, nameOf(box))
      chain(box, 'callback', () => node.setDirtyCanvas(true, true)) // with the first letter its name appears
    }
    if (boxes.length) chain(node, 'onDrawForeground', (context) => drawNames(node, boxes, context))
  },
})

/** @param {any} box */
const nameOf = (box) => box.label ?? box.name

/** @param {any} node @param {any[]} boxes @param {CanvasRenderingContext2D} context */
function drawNames(node, boxes, context) {
  if (node.flags?.collapsed || app.canvas.low_quality) return
  context.save()
  context.font = FONT
  context.fillStyle = LiteGraph.WIDGET_SECONDARY_TEXT_COLOR ?? '#999'
  context.textAlign = 'left'
  const named = boxes.filter(({ hidden, y, value }) => !hidden && y && value) // an empty one shows its name itself
  for (const box of named) context.fillText(nameOf(box), LEFT, box.y + BASELINE)
  context.restore()
}
