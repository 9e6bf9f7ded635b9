import { app } from '../../scripts/app.js'

// What the editors on nodes share: the node's own widgets, which alone hold values, small elements, and their style.

const rules = await fetch(new URL('./editor.css', import.meta.url)).then((reply) => reply.text()).catch(() => '')

/** The style of editors and notes, within each of them: the page's head is not ours. It is there when they are. */
export const styleSheet = () => make('style', {}, rules)

/** @param {any} node @param {string} name */
export const widgetOf = (node, name) => node.widgets?.find((widget) => widget.name === name)

/** The value of a widget, or undefined where a link brings it. @param {any} node @param {string} name */
export function read(node, name) {
  const isLinked = node.inputs?.some((input) => input.widget?.name === name && input.link != null)
  return isLinked ? undefined : widgetOf(node, name)?.value
}

/** @param {any} node @param {string} name @param {any} value */
export function write(node, name, value) {
  const widget = widgetOf(node, name)
  if (!widget || widget.value === value) return
  widget.value = value
  widget.callback?.(value, app.canvas, node)
  node.setDirtyCanvas?.(true, true)
}

/** Pixels of a node's title, above its position. */
export const TITLE_HEIGHT = 30

/** Options of a widget that is no part of the saved graph, and has no row in the host's properties panel. */
export const ON_NODE = { serialize: false, hideInPanel: true }

/**
 * Puts an editor below the node's widgets. It is no part of the saved graph.
 * @param {any} node @param {string} name @param {HTMLElement} element @param {() => number} height
 * @param {string[]} watched widgets @param {() => void} refresh @param {boolean} [grows] with the node
 */
export function addEditor(node, name, element, height, watched, refresh, grows = false) {
  const onDraw = (/** @type {any} */ drawn) => {
    drawn.width = undefined // the properties panel of older pages sets its own
    refresh()
  }
  const least = () => (window.LiteGraph?.vueNodesMode ? 0 : height()) // Nodes 2.0 take it from the style
  const options = { ...ON_NODE, getMinHeight: least, onDraw }
  if (!grows) Object.assign(options, { getMaxHeight: height })
  element.append(styleSheet())
  const widget = node.addDOMWidget(name, name, element, options)
  widget.serialize = false
  for (const widgetName of watched) chain(widgetOf(node, widgetName), 'callback', () => refresh())
  for (const hook of ['onConfigure', 'onConnectionsChange', 'onExecuted']) chain(node, hook, () => refresh())
  for (const kind of ['pointerenter', 'focusin']) element.addEventListener(kind, () => refresh())
  refresh()
  fitSize(node)
}

/**
 * The classic renderer sizes a node before this widget is there, and grows it when it is loaded again: such a change
 * after an undo would drop what can be redone. Nodes 2.0 grow a node to what it shows by themselves; the size that is
 * computed, which a loaded node gets at least, would leave room for inputs that they hide.
 * @param {any} node
 */
function fitSize(node) {
  const { computeSize } = node
  node.computeSize = function () {
    const [width, height] = computeSize.apply(this, arguments)
    return [width, window.LiteGraph?.vueNodesMode ? 0 : height]
  }
  const [width, height] = node.computeSize()
  node.setSize([Math.max(node.size[0], width), height && Math.max(node.size[1], height)])
}

/** Adds to a function of a holder; the original stays and runs first. @param {any} holder @param {string} name @param {(first: any) => void} after */
export function chain(holder, name, after) {
  if (!holder) return
  const original = holder[name]
  holder[name] = function (first) {
    const result = original?.apply(this, arguments)
    after(first)
    return result
  }
}

/** @param {string} tag @param {Record<string, string>} [attributes] @param {...(Node | string)} children */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  element.append(...children)
  return element
}

/** @param {HTMLElement} element @param {string} text */
export function label(element, text) {
  element.setAttribute('aria-label', text)
  element.title = text
}

/** What a slider is and says. @param {HTMLElement} element @param {string} name @param {number} value @param {{ low: number, high: number }} range @param {string} description */
export function announce(element, name, value, range, description) {
  const values = { label: name, valuemin: range.low, valuemax: range.high, valuenow: value, valuetext: description }
  for (const [key, content] of Object.entries(values)) element.setAttribute(`aria-${key}`, String(content))
  element.title = `${name}: ${description}`
}

/** Follows the pointer from a press to its release. @param {HTMLElement} area @param {(event: PointerEvent) => (((event: PointerEvent) => void) | null | undefined)} start */
export function onDrag(area, start) {
  area.addEventListener('mousedown', (event) => event.preventDefault()) // focus stays where `start` puts it
  area.addEventListener('pointerdown', (event) => {
    if (event.button !== 0) return
    const move = start(event)
    event.stopPropagation()
    if (!move) return
    area.setPointerCapture(event.pointerId)
    const follow = (/** @type {PointerEvent} */ moveEvent) => move(moveEvent)
    const end = () => {
      area.removeEventListener('pointermove', follow)
      for (const kind of ['pointerup', 'pointercancel']) area.removeEventListener(kind, end)
    }
    area.addEventListener('pointermove', follow)
    for (const kind of ['pointerup', 'pointercancel']) area.addEventListener(kind, end)
  })
}

/** Where a pointer is in an element, 0 to 1, at any zoom. @param {PointerEvent} event @param {HTMLElement} area */
export function placeIn(event, area) {
  const { left, top, width, height } = area.getBoundingClientRect()
  return { x: (event.clientX - left) / (width || 1), y: (event.clientY - top) / (height || 1) }
}

/**
 * Keys that the element acts on stay with it; Delete would otherwise delete the node. Each press is one step to undo.
 * @param {HTMLElement} element @param {(event: KeyboardEvent) => boolean} act
 */
export function onKey(element, act) {
  let isHeld = false
  element.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !act(event)) return
    event.preventDefault()
    event.stopPropagation()
    isHeld = event.repeat
    // the page waits for a `change` of the element that had the focus, from its next frame on
    if (!event.repeat) requestAnimationFrame(() => element.dispatchEvent(new Event('change')))
  })
  element.addEventListener('keyup', () => {
    if (isHeld) recordChange()
    isHeld = false
  })
}

/** Makes what was written so far a step to undo, where the page does not see to it by itself. */
export function recordChange() {
  app.canvas.emitBeforeChange?.()
  app.canvas.emitAfterChange?.()
}

/** Makes what a function does to the graph one step to undo, with what the page measures of new nodes. @param {() => void} act */
export async function asOneStep(act) {
  recordChange() // what was done before is a step of its own
  app.canvas.emitBeforeChange?.()
  try {
    act()
    for (const _ of [1, 2]) await new Promise(requestAnimationFrame)
  } finally {
    app.canvas.emitAfterChange?.()
  }
}
