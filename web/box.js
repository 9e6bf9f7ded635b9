import { api } from '../../scripts/api.js'
import { app } from '../../scripts/app.js'

import * as logic from './box_logic.js'
import { addEditor, announce, chain, label, make, onDrag, onKey, read, recordChange, widgetOf, write } from './editor.js'
import { loadWords, say } from './words.js'

// The editor of boxes: Face Crop's four numbers, the text 'box' of a reference, and a region's 'region_box', drawn in an
// empty square that stands for the generated image. The widgets stay what counts.
const NAME = 'ipadapter_box'
const IS_OPEN = 'ipadapter_box_open' // among the properties of a node that was saved with an open editor
const [CLOSED, OPEN] = [34, 287]
const REACH = 6 // pixels of the screen around an edge
const NUMBERS = ['x', 'y', 'width', 'height']

/** How a node holds its box. */
const FOUR_NUMBERS = {
  widgets: NUMBERS,
  canvas: undefined,
  /** @param {any} node */
  read(node) {
    const [x, y, width, height] = NUMBERS.map((name) => read(node, name))
    if ([x, y, width, height].includes(undefined)) return { error: 'linked' }
    return width > 0 && height > 0 ? { box: { x, y, width, height } } : null
  },
  /** @param {any} node @param {logic.Box | null} box */
  write(node, box) {
    const { x, y, width, height } = box ?? { x: 0, y: 0, width: 0, height: 0 }
    for (const [name, value] of Object.entries({ x, y, width, height })) write(node, name, value)
  },
}
/** A box as a text. @param {string} name of the widget @param {logic.Size} [canvas] what it is drawn in, in place of a picture */
const textHolder = (name, canvas) => ({
  widgets: [name],
  canvas,
  /** @param {any} node */
  read(node) {
    const text = read(node, name)
    return text === undefined ? { error: 'linked' } : logic.parseBox(String(text))
  },
  /** @param {any} node @param {logic.Box | null} box */
  write: (node, box) => write(node, name, logic.boxText(box)),
})
const REFERENCE = textHolder('box')
const HOLDERS = {
  FaceCrop: FOUR_NUMBERS,
  ApplyIPAdapter: REFERENCE,
  EncodeIPAdapterReference: REFERENCE,
  IPAdapterRegion: textHolder('region_box', { width: 100, height: 100 }),
}

app.registerExtension({
  name: 'ipadapternodes.Box',
  nodeCreated(node) {
    const holder = HOLDERS[node.comfyClass]
    if (!holder?.widgets.every((name) => widgetOf(node, name))) return
    const editor = new BoxEditor(node, holder)
    chain(node, 'onExecuted', (output) => editor.rememberRun(output))
    chain(node, 'onConfigure', () => editor.toggle(!!node.properties?.[IS_OPEN], 0)) // the saved node has room for it
    addEditor(node, NAME, editor.element, () => (editor.open ? OPEN : CLOSED), holder.widgets, () => editor.refresh())
    loadWords(app, api).then(() => editor.translate())
  },
})

class BoxEditor {
  /** @param {any} node @param {ReturnType<typeof textHolder>} holder */
  constructor(node, holder) {
    this.node = node
    this.holder = holder
    this.open = false
    this.lastPicture = undefined // of the last run: a file of the host, and its true size
    this.switch = make('button', { type: 'button' })
    this.clear = make('button', { type: 'button' })
    this.picture = make('img', { alt: '', draggable: 'false' })
    this.shape = make('div', { class: 'shape', role: 'slider', tabindex: '0' })
    this.corners = ['nw', 'se'].map((part) => make('div', { class: `corner ${part}`, role: 'slider', tabindex: '0' }))
    this.shape.append(...this.corners)
    this.area = make('div', { class: holder.canvas ? 'area canvas' : 'area', role: 'group', tabindex: '0' }, this.picture, this.shape)
    this.status = make('div', { class: 'status', role: 'status' })
    this.element = make('div', { class: 'ipadapter-editor ipadapter-box' })
    this.element.append(make('div', { class: 'row' }, this.switch, this.clear), this.area, this.status)
    this.listen()
    this.toggle(false, 0)
    this.translate()
  }

  listen() {
    this.switch.addEventListener('click', () => this.toggle(!this.open, this.open ? CLOSED - OPEN : OPEN - CLOSED))
    this.clear.addEventListener('click', () => {
      this.set(null)
      recordChange()
    })
    for (const button of [this.switch, this.clear]) {
      button.addEventListener('keydown', (event) => event.stopPropagation())
    }
    this.picture.addEventListener('load', () => this.refresh())
    new ResizeObserver(() => this.refresh()).observe(this.area)
    onDrag(this.area, (event) => this.drag(event))
    onKey(this.shape, (event) => event.target === this.shape && this.press(event, 'move'))
    for (const [place, part] of ['nw', 'se'].entries()) onKey(this.corners[place], (event) => this.press(event, part))
    onKey(this.area, (event) => {
      if (event.target !== this.area || event.key !== 'Enter' || !this.size) return false
      if (!this.holder.read(this.node)?.box) this.set(logic.middleBox(this.size))
      this.shape.focus()
      return true
    })
  }

  translate() {
    this.switch.textContent = say('draw the box')
    this.clear.textContent = say('no box')
    label(this.switch, this.holder.canvas ? say('Opens the square, so that you can draw the region in it') : say('Shows the image so that you can draw the box in it'))
    label(this.clear, say('Removes the box'))
    const area = this.holder.canvas ? say('The generated image; Enter goes to the box') : say('The image; Enter goes to the box')
    this.area.setAttribute('aria-label', area)
    this.refresh()
  }

  /** @param {boolean} open @param {number} growth of the node, at least as far as it needs */
  toggle(open, growth) {
    this.open = open
    if (open) this.node.setProperty(IS_OPEN, true)
    else delete this.node.properties[IS_OPEN]
    this.element.classList.toggle('open', open)
    this.switch.setAttribute('aria-expanded', String(open))
    if (this.node.graph && !window.LiteGraph?.vueNodesMode) {
      const [width, height] = this.node.size
      this.node.setSize([width, Math.max(this.node.computeSize()[1], height + growth)])
    }
    this.refresh()
  }

  /** @param {any} output of the node's last run */
  rememberRun(output) {
    this.lastPicture = output?.source?.[0] ?? this.lastPicture
  }

  /** Where the picture is: the file that a connected node uploaded, else the one of the last run. */
  get source() {
    if (this.holder.canvas) return undefined
    const input = this.node.inputs?.find(({ name }) => name === 'image')
    const link = input?.link != null && this.node.graph?.links?.get?.(input.link)
    const origin = link && this.node.graph.getNodeById(link.origin_id)
    const uploads = origin?.constructor?.nodeData?.input?.required?.image?.[1]?.image_upload
    const file = uploads && read(origin, 'image')
    return file ? logic.fileOf(String(file)) : this.lastPicture
  }

  /** The picture's true size, once it is here. @returns {logic.Size | null} */
  get size() {
    if (this.holder.canvas) return this.holder.canvas
    const { width, height } = this.source?.width ? this.source : { width: this.picture.naturalWidth, height: this.picture.naturalHeight }
    return this.picture.naturalWidth && width && height ? { width, height } : null
  }

  refresh() {
    const content = this.holder.read(this.node)
    const box = content?.box
    this.clear.disabled = !box
    if (!this.open) return
    this.show()
    const size = this.size
    this.shape.hidden = !box || !size
    this.status.textContent = this.sentence(content, size)
    if (!box || !size) return
    const { left, top, scale } = this.place(size)
    const style = { left: left + box.x * scale, top: top + box.y * scale, width: box.width * scale, height: box.height * scale }
    for (const [name, value] of Object.entries(style)) this.shape.style[name] = `${value}px`
    const said = say('x <x>, y <y>, <width> wide, <height> high', box)
    const range = { low: 0, high: size.width }
    announce(this.shape, say('box'), box.x, range, said)
    announce(this.corners[0], say('top left corner'), box.x, range, said)
    announce(this.corners[1], say('bottom right corner'), box.x + box.width, range, said)
  }

  /** Loads the picture if it is another one than before. */
  show() {
    const source = this.source
    const query = source && new URLSearchParams({ filename: source.filename, subfolder: source.subfolder, type: source.type })
    const address = query ? api.apiURL(`/view?${query}`) : ''
    if (address === this.address) return
    this.address = address
    if (address) this.picture.src = address
    else this.picture.removeAttribute('src')
  }

  /** @param {{ box?: logic.Box, error?: string } | null} content of the widgets @param {logic.Size | null} size */
  sentence(content, size) {
    if (content?.error === 'linked') return say('The box comes from a connected node.')
    if (!size) return say('Connect Load Image, or run once, to see the image here.')
    if (content?.error) return content.error
    if (!content && this.holder.canvas) return say('Drag a box: the square stands for the generated image.')
    if (!content) return say('Drag in the image to draw a box, or press Enter in it.')
    return say('x <x>, y <y>, <width> wide, <height> high', content.box) + '. ' + say('Arrow keys move the box, with Shift by ten pixels; Delete removes it.')
  }

  /** @param {logic.Size} size */
  place(size) {
    return logic.layout(size, { width: this.area.clientWidth || 1, height: this.area.clientHeight || 1 })
  }

  /** @param {PointerEvent} event @param {logic.Size} size @returns {logic.Point} in the picture, at any zoom of the graph */
  at(event, size) {
    const { left, top, width } = this.area.getBoundingClientRect()
    const zoom = width / (this.area.offsetWidth || 1) || 1
    const border = this.area.clientLeft
    return logic.toPicture({ x: (event.clientX - left) / zoom - border, y: (event.clientY - top) / zoom - border }, this.place(size))
  }

  /** @param {logic.Box | null} box */
  set(box) {
    this.holder.write(this.node, box)
    this.refresh()
  }

  /** @param {PointerEvent} event */
  drag(event) {
    const content = this.holder.read(this.node)
    const size = this.size
    if (!size || content?.error === 'linked') return null
    const startBox = content?.box ?? null
    const start = this.at(event, size)
    const part = logic.partAt(startBox, start, REACH / this.place(size).scale)
    if (part !== 'new') this.shape.focus()
    return (/** @type {PointerEvent} */ moveEvent) => {
      this.set(logic.dragBox(part, startBox, start, this.at(moveEvent, size), size))
      this.shape.focus()
    }
  }

  /** @param {KeyboardEvent} event @param {string} part */
  press(event, part) {
    const box = this.holder.read(this.node)?.box
    const newBox = box && this.size ? logic.boxAfterKey(event, part, box, this.size) : undefined
    if (newBox === undefined) return false
    this.set(newBox)
    if (!newBox) this.area.focus()
    return true
  }
}
