import { api } from '../../scripts/api.js'
import { app } from '../../scripts/app.js'

import { addEditor, announce, chain, label, make, onDrag, onKey, placeIn, read, recordChange, widgetOf, write } from './editor.js'
import * as logic from './weightmap_logic.js'
import { barsCrossed, heightOf, hitBar, hitKey, rangeOf, ticksOf, valueOf } from './weightmap_panel_logic.js'
import { loadWords, say } from './words.js'

// The editor of IPAdapter Weight Map: bars for 'layers', keyframes for 'curve'. Both texts stay what counts.
const NAME = 'ipadapter_weight_map'
const SAMPLES = 120
const TEXT_HEIGHT = 80 // of a text box, at most: what a larger node has goes to the editor

app.registerExtension({
  name: 'ipadapternodes.WeightMap',
  nodeCreated(node) {
    if (node.comfyClass !== 'IPAdapterWeightMap') return
    const editor = new Editor(node)
    chain(node, 'onExecuted', (output) => (editor.blocks = output?.blocks?.length ?? editor.blocks))
    addEditor(node, NAME, editor.element, () => 272, ['layers', 'curve'], () => editor.refresh(), true)
    for (const name of ['layers', 'curve']) widgetOf(node, name).options.getMaxHeight = () => TEXT_HEIGHT
    loadWords(app, api).then(() => editor.translate())
  },
})

class Editor {
  /** @param {any} node */
  constructor(node) {
    this.node = node
    this.blocks = undefined // of the model of the last run
    this.chosenKey = 0 // the keyframe whose easing is shown
    this.bars = make('div', { role: 'group', class: 'panel' })
    this.points = make('div', { role: 'group', class: 'panel' })
    this.line = document.createElementNS('http://www.w3.org/2000/svg', 'svg')
    this.line.setAttribute('viewBox', '0 0 100 100')
    this.line.setAttribute('preserveAspectRatio', 'none')
    this.line.append(document.createElementNS('http://www.w3.org/2000/svg', 'path'))
    this.points.append(this.line)
    this.status = make('div', { class: 'status', role: 'status' })
    this.controls()
    const heads = [
      make('div', { class: 'row' }, this.layersName, this.family, this.layersPreset),
      make('div', { class: 'row' }, this.curveName, this.easing, this.curvePreset),
    ]
    this.element = make('div', { class: 'ipadapter-editor ipadapter-weight-map' })
    this.element.append(heads[0], this.bars, heads[1], this.points, this.status)
    onDrag(this.bars, (event) => this.dragBar(event))
    onDrag(this.points, (event) => this.dragPoint(event))
    this.nameOnPointer()
    this.translate()
  }

  controls() {
    this.layersName = make('span')
    this.curveName = make('span')
    this.family = make('select')
    this.layersPreset = make('select')
    this.curvePreset = make('select')
    this.easing = make('select')
    const layers = (/** @type {(count: number) => string} */ text) => write(this.node, 'layers', text(this.count()))
    this.family.addEventListener('change', () => {
      const count = logic.FAMILIES[this.family.value]
      write(this.node, 'layers', Array(count).fill(1).join(', '))
    })
    this.layersPreset.addEventListener('change', () => layers(logic.LAYER_PRESETS[this.layersPreset.value]))
    this.curvePreset.addEventListener('change', () => {
      write(this.node, 'curve', logic.CURVE_PRESETS[this.curvePreset.value])
    })
    this.easing.addEventListener('change', () => {
      write(this.node, 'curve', logic.withKey(this.curve, this.chosenKey, { easing: this.easing.value }))
    })
    for (const select of [this.family, this.layersPreset, this.curvePreset, this.easing]) {
      select.addEventListener('change', () => {
        this.refresh(true)
        recordChange()
      })
      select.addEventListener('keydown', (event) => event.stopPropagation())
    }
  }

  /** The head of a panel shows the name and the number of what is under the pointer, or has the focus. */
  nameOnPointer() {
    for (const panel of [this.bars, this.points]) {
      for (const kind of ['pointermove', 'focusin']) {
        panel.addEventListener(kind, (event) => this.name(panel, event))
      }
      for (const kind of ['pointerleave', 'focusout']) panel.addEventListener(kind, () => this.name(panel))
    }
  }

  /** @param {HTMLElement} panel @param {any} [event] */
  name(panel, event) {
    const elements = panel === this.bars ? this.barElements() : this.pointElements()
    const isBar = event?.type === 'pointermove' && panel === this.bars && elements.length > 0
    const place = isBar ? hitBar(placeIn(event, panel).x, elements.length) : elements.indexOf(event?.target)
    const element = elements[place] ?? elements.find((candidate) => candidate === document.activeElement)
    if (panel === this.bars) this.layersName.textContent = element?.title ?? say('by layer')
    else this.curveName.textContent = element?.dataset.entry ?? say('over time')
  }

  translate() {
    for (const panel of [this.bars, this.points]) this.name(panel)
    label(this.bars, say('A factor for each block of layers'))
    label(this.points, say('A factor over time, by keyframes'))
    fill(this.family, Object.keys(logic.FAMILIES), say('The number of blocks, by base model'), '-')
    fill(this.layersPreset, Object.keys(logic.LAYER_PRESETS), say('A preset for the layers'), say('preset'))
    fill(this.curvePreset, Object.keys(logic.CURVE_PRESETS), say('A preset for the curve'), say('preset'))
    fill(this.easing, logic.EASINGS, say('How the curve gets to the selected keyframe'))
    this.refresh(true)
  }

  get layers() {
    return String(read(this.node, 'layers') ?? '')
  }

  get curve() {
    return String(read(this.node, 'curve') ?? '')
  }

  /** How many blocks the text is for; where it does not say, what the last run found. */
  count() {
    return logic.parseLayers(this.layers, this.blocks).values.length || 16
  }

  /** Draws what the texts say, if they say something else than before. @param {boolean} [always] */
  refresh(always = false) {
    const linkedNames = ['layers', 'curve'].filter((name) => read(this.node, name) === undefined)
    const drawing = [this.layers, this.curve, this.blocks, linkedNames].join('|')
    if (drawing === this.lastDrawing && !always) return
    this.lastDrawing = drawing
    const layersPresets = Object.entries(logic.LAYER_PRESETS).map(([name, text]) => [name, text(this.count())])
    this.layersPreset.value = logic.presetOf(Object.fromEntries(layersPresets), this.layers)
    this.curvePreset.value = logic.presetOf(logic.CURVE_PRESETS, this.curve)
    const bars = logic.parseLayers(this.layers, this.blocks)
    const curve = logic.parseCurve(this.curve)
    this.drawBars(linkedNames.includes('layers') ? [] : bars.values)
    this.drawCurve(linkedNames.includes('curve') ? null : curve)
    this.family.value = bars.values.length === 11 ? 'SDXL' : bars.values.length === 16 ? 'SD1.5' : ''
    const odd = linkedNames.length ? '' : logic.oddity(bars, curve.keys, this.blocks)
    const links = linkedNames.map((name) => say("'<name>' comes from a connected node", { name }))
    this.status.textContent = [...links, bars.error, curve.error, odd].filter(Boolean).join('; ') || this.hint
    for (const panel of [this.bars, this.points]) this.name(panel)
  }

  get hint() {
    return say('Drag bars and points; click adds a point. Keys: arrows, Enter adds, Delete removes, Space changes the easing.')
  }

  /** @param {number[]} values */
  drawBars(values) {
    const range = rangeOf(values)
    const bars = withCount(this.bars, values.length, () => {
      const bar = make('div', { role: 'slider', tabindex: '0', class: 'bar', 'aria-orientation': 'vertical' })
      onKey(bar, (event) => this.keyOnBar(event, this.barElements().indexOf(bar)))
      return bar
    })
    values.forEach((value, place) => {
      const name = say('block <place>, <name>', { place, name: logic.blockName(values.length, place) })
      announce(bars[place], name, value, range, String(value))
      bars[place].style.setProperty('--from', String(heightOf(Math.min(0, value), range)))
      bars[place].style.setProperty('--to', String(heightOf(Math.max(0, value), range)))
    })
    drawAxis(this.bars, values.length ? range : null)
  }

  /** @param {{ keys: logic.Keyframe[], error?: string } | null} curve null: nothing to draw */
  drawCurve(curve) {
    const keys = curve?.keys ?? []
    const range = rangeOf(keys.map((key) => key.value))
    const path = Array.from({ length: SAMPLES + 1 }, (_, step) => {
      const height = heightOf(logic.valueAt(keys, step / SAMPLES), range)
      return `${(100 * step) / SAMPLES} ${100 * (1 - height)}`
    })
    this.line.firstChild.setAttribute('d', curve && !curve.error ? `M ${path.join(' L ')}` : '')
    const points = withCount(this.points, keys.length, () => {
      const point = make('div', { role: 'slider', tabindex: '0', class: 'point' })
      onKey(point, (event) => this.keyOnPoint(event, this.pointElements().indexOf(point)))
      point.addEventListener('focus', () => this.choose(this.pointElements().indexOf(point)))
      return point
    }, 'point')
    keys.forEach((key, place) => {
      const description = say('time <time>, factor <value>, <easing>', { ...key, easing: say(key.easing) })
      announce(points[place], say('keyframe <place>', { place: place + 1 }), key.value, range, description)
      points[place].dataset.entry = logic.keyText(key) // all that fits beside two lists
      points[place].style.left = `${100 * key.time}%`
      points[place].style.bottom = `${100 * heightOf(key.value, range)}%`
    })
    this.choose(Math.min(this.chosenKey, Math.max(0, keys.length - 1)))
    drawAxis(this.points, curve && !curve.error ? range : null)
  }

  barElements() {
    return [...this.bars.querySelectorAll('.bar')]
  }

  pointElements() {
    return [...this.points.querySelectorAll('.point')]
  }

  /** @param {number} place */
  choose(place) {
    this.chosenKey = place
    const { keys } = logic.parseCurve(this.curve)
    this.easing.disabled = !keys[place]
    this.easing.value = keys[place]?.easing ?? 'linear'
    this.pointElements().forEach((point, index) => point.classList.toggle('chosen', index === place))
  }

  /** @param {PointerEvent} event */
  dragBar(event) {
    const { values } = logic.parseLayers(this.layers, this.count())
    if (!values.length || read(this.node, 'layers') === undefined) return null
    const range = rangeOf(values)
    let from = placeIn(event, this.bars)
    const move = (/** @type {PointerEvent} */ moveEvent) => {
      const to = placeIn(moveEvent, this.bars)
      const heights = barsCrossed(from, to, values.length)
      const setBar = (text, [block, y]) => logic.withBar(text, block, valueOf(y, range), values.length)
      write(this.node, 'layers', heights.reduce(setBar, this.layers))
      from = to
      this.refresh()
      this.barElements()[heights.at(-1)[0]]?.focus()
    }
    move(event)
    return move
  }

  /** @param {PointerEvent} event */
  dragPoint(event) {
    const { keys, error } = logic.parseCurve(this.curve)
    if (error || read(this.node, 'curve') === undefined) return null
    const range = rangeOf(keys.map((key) => key.value))
    const area = this.points.getBoundingClientRect()
    const at = placeIn(event, this.points)
    let place = hitKey(keys, at, range, { x: 10 / (area.width || 1), y: 10 / (area.height || 1) })
    if (place < 0) {
      const change = logic.withNewKey(this.curve, logic.round(at.x), valueOf(at.y, range))
      place = change.place
      write(this.node, 'curve', change.text)
      this.refresh()
    }
    this.pointElements()[place]?.focus()
    return (/** @type {PointerEvent} */ moveEvent) => {
      const { x, y } = placeIn(moveEvent, this.points)
      const change = { time: logic.round(x), value: valueOf(y, range) }
      write(this.node, 'curve', logic.withKey(this.curve, place, change))
      this.refresh()
    }
  }

  /** @param {KeyboardEvent} event @param {number} block */
  keyOnBar(event, block) {
    const { values } = logic.parseLayers(this.layers, this.count())
    const value = logic.barKey(event, values[block], rangeOf(values))
    if (value === null) return false
    write(this.node, 'layers', logic.withBar(this.layers, block, value, values.length))
    this.refresh()
    return true
  }

  /** @param {KeyboardEvent} event @param {number} place */
  keyOnPoint(event, place) {
    const range = rangeOf(logic.parseCurve(this.curve).keys.map((key) => key.value))
    const change = logic.pointKey(event, this.curve, place, range)
    if (!change) return false
    write(this.node, 'curve', change.text)
    this.refresh()
    this.pointElements()[change.place]?.focus()
    return true
  }
}

/** @param {HTMLSelectElement} select @param {string[]} values @param {string} name @param {string} [empty] */
function fill(select, values, name, empty) {
  label(select, name)
  const options = values.map((value) => make('option', { value }, say(value)))
  const first = empty ? [make('option', { value: '', disabled: '', selected: '', hidden: '' }, empty)] : []
  select.replaceChildren(...first, ...options)
}

/** The children of that class, as many as asked for. @param {HTMLElement} holder @param {number} count @param {() => HTMLElement} create */
function withCount(holder, count, create, kind = 'bar') {
  const elements = [...holder.querySelectorAll(`.${kind}`)]
  for (const element of elements.slice(count)) element.remove()
  for (let place = elements.length; place < count; place++) holder.append(create())
  return [...holder.querySelectorAll(`.${kind}`)]
}

/** Lines with their numbers across a panel. @param {HTMLElement} panel @param {logic.Range | null} range */
function drawAxis(panel, range) {
  const ticks = range ? ticksOf(range) : []
  const elements = withCount(panel, ticks.length, () => make('div', { class: 'tick', 'aria-hidden': 'true' }), 'tick')
  ticks.forEach((value, place) => {
    elements[place].textContent = String(value)
    elements[place].style.top = `${100 * (1 - heightOf(value, range))}%`
  })
}
