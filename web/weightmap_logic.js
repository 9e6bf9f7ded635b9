// Pure: the texts of IPAdapter Weight Map as bars and keyframes, and back. Does nothing when the page imports it by itself.
// The grammar is that of ipadapter_core/weights/curves.py and weight_map.py; tests/web holds the two equal.

import { say } from './words.js'

export const EASINGS = ['linear', 'ease', 'ease in', 'ease out', 'ease in-out', 'hold']
const SHAPES = {
  linear: (x) => x,
  hold: (x) => (x >= 1 ? 1 : 0),
  ease: (x) => (1 - Math.cos(Math.PI * x)) / 2,
  'ease in': (x) => 1 - Math.cos((Math.PI * x) / 2),
  'ease out': (x) => Math.cos((Math.PI * (1 - x)) / 2),
  'ease in-out': (x) => (1 - Math.cos(Math.PI * x)) / 2,
}
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i
const KEY = /^([^:\s]+)\s*:\s*(\S+)(?:\s+([\s\S]+))?$/
const blockNames = (kind, numbers) => numbers.map((number) => `${kind} ${number}`)
/** How many blocks -> their names, in the order of a forward pass. */
const BLOCKS = {
  16: [...blockNames('input', [1, 2, 4, 5, 7, 8]), 'middle', ...blockNames('output', [3, 4, 5, 6, 7, 8, 9, 10, 11])],
  11: [...blockNames('input', [4, 5, 7, 8]), 'middle', ...blockNames('output', [0, 1, 2, 3, 4, 5])],
}
const REST = 'rest' // in 'layers': every block without an entry of its own
export const FAMILIES = { 'SD1.5': 16, SDXL: 11 }
export const STEP = { value: 0.05, largeValue: 0.25, time: 0.01, largeTime: 0.1 }

/** @param {number} count @param {number} number */
export const blockName = (count, number) => BLOCKS[count]?.[number] ?? `block ${number}`

/** @param {number} value two decimals, without trailing zeros */
export const round = (value) => Math.round((value + Number.EPSILON) * 100) / 100 || 0

/** @param {number} value @param {number} low @param {number} high */
export const clamp = (value, low, high) => Math.min(high, Math.max(low, value))

/** The entries of a text; what stands between them is kept when one is replaced. @param {string} text */
function split(text) {
  const pieces = text.split(/([,;][ \t\r]*\n|[,;\n])/)
  const entries = pieces.filter((_, place) => place % 2 === 0).map((piece) => piece.trim())
  while (entries.length && !entries.at(-1)) entries.pop()
  return { pieces, entries }
}

const number = (text) => (NUMBER.test(text) ? Number(text) : NaN)

/**
 * What 'layers' says. none: empty, 1 for all; list: a number for each block; some: by number or name, the others as
 * 'rest' says, or 0.
 * @param {string} text @param {number} [count] of the model's blocks, where it is known
 * @returns {{ kind: string, values: number[], error?: string }}
 */
export function parseLayers(text, count = 16) {
  const { entries } = split(text)
  const failed = (error) => ({ kind: 'error', values: [], error })
  if (!text.trim()) return { kind: 'none', values: Array(count).fill(1) }
  if (!entries.length) return failed(say('layers: no number at entry <entry>', { entry: 1 }))
  if (!text.includes(':')) {
    const values = entries.map(number)
    const wrong = values.findIndex((value) => !Number.isFinite(value))
    if (wrong >= 0) return failed(say('layers: no number at entry <entry>', { entry: wrong + 1 }))
    return { kind: 'list', values }
  }
  const pairs = entries.map((entry) => pairOf(entry, count))
  const wrong = pairs.findIndex(([place, value]) => place === null || !Number.isFinite(value))
  if (wrong >= 0) return failed(say('layers: no block and number at entry <entry>', { entry: wrong + 1 }))
  const highest = Math.max(0, ...pairs.map(([place]) => place).filter((place) => place !== REST))
  if (highest > 99) return failed(say('layers: no block <block>', { block: highest }))
  const rest = pairs.findLast(([place]) => place === REST)?.[1] ?? 0
  const values = Array(Math.max(count, highest + 1)).fill(rest)
  for (const [place, value] of pairs) if (place !== REST) values[place] = value
  return { kind: 'some', values }
}

/**
 * An entry as block and factor: the block by number or by name, REST, or null for what is none.
 * @param {string} entry @param {number} count
 * @returns {[number | string | null, number]}
 */
function pairOf(entry, count) {
  const [blockText, value] = entry.split(/:(.*)/s).map((part) => part.trim())
  const place = blockText.toLowerCase().split(/\s+/).join(' ')
  if (place === REST) return [REST, number(value ?? '')]
  if (/^\d+$/.test(place)) return [Number(place), number(value ?? '')]
  const index = (BLOCKS[count] ?? []).indexOf(place)
  return [index < 0 ? null : index, number(value ?? '')]
}

/**
 * The text with another factor for one block; everything else stays as it was typed.
 * @param {string} text @param {number} block @param {number} value @param {number} [count]
 */
export function withBar(text, block, value, count = 16) {
  const { kind, values } = parseLayers(text, count)
  const factor = String(round(value))
  if (kind === 'list') return replaceEntry(text, block, factor)
  if (kind === 'none') return values.map((unchanged, place) => (place === block ? factor : unchanged)).join(', ')
  const { entries } = split(text)
  const place = entries.findLastIndex((entry) => pairOf(entry, count)[0] === block)
  if (place >= 0) return replaceEntry(text, place, `${entries[place].split(':')[0]}:${factor}`)
  return [...entries, `${block}:${factor}`].join(', ')
}

/** @param {string} text @param {number} place @param {string} entry */
function replaceEntry(text, place, entry) {
  const { pieces } = split(text)
  pieces[2 * place] = pieces[2 * place].replace(/\S(?:[\s\S]*\S)?/, () => entry)
  return pieces.join('')
}

/** @typedef {{ time: number, value: number, easing: string }} Keyframe */

/**
 * The keyframes of 'curve'; none of them is 1 throughout.
 * @param {string} text
 * @returns {{ keys: Keyframe[], error?: string }}
 */
export function parseCurve(text) {
  const keys = []
  for (const [place, entry] of split(text).entries.entries()) {
    const match = KEY.exec(entry)
    const key = match && {
      time: number(match[1]),
      value: number(match[2]),
      easing: (match[3] ?? 'linear').trim().split(/\s+/).join(' '),
    }
    if (!isValid(key) || (keys.length && key.time < keys.at(-1).time)) {
      const values = { place: place + 1, entry }
      return { keys: [], error: say("curve: entry <place>, '<entry>', is not a keyframe, or is earlier than the one before it", values) }
    }
    keys.push(key)
  }
  return { keys }
}

/** @param {Keyframe | null} key */
const isValid = (key) =>
  key && Number.isFinite(key.value) && key.time >= 0 && key.time <= 1 && EASINGS.includes(key.easing)

/** @param {Keyframe[]} keys @param {number} time */
export function valueAt(keys, time) {
  if (!keys.length) return 1
  if (time < keys[0].time) return keys[0].value
  for (let place = 1; place < keys.length; place++) {
    const [start, end] = [keys[place - 1], keys[place]]
    if (start.time <= time && time < end.time) {
      const share = SHAPES[end.easing]((time - start.time) / (end.time - start.time))
      return start.value + (end.value - start.value) * share
    }
  }
  return keys.at(-1).value
}

/** @param {Keyframe} key */
export const keyText = (key) =>
  `${round(key.time)}:${round(key.value)}${key.easing === 'linear' ? '' : ` ${key.easing}`}`

/** The text with one keyframe changed; it stays between its neighbours. @param {string} text @param {number} place @param {Partial<Keyframe>} change */
export function withKey(text, place, change) {
  const { keys } = parseCurve(text)
  const key = { ...keys[place], ...change }
  key.time = clamp(key.time, keys[place - 1]?.time ?? 0, keys[place + 1]?.time ?? 1)
  return replaceEntry(text, place, keyText(key))
}

/** The text with one keyframe more, and its place. @param {string} text @param {number} time @param {number} value */
export function withNewKey(text, time, value) {
  const { keys } = parseCurve(text)
  const entries = keys.length ? split(text).entries : ['0:1', '1:1']
  const times = keys.length ? keys.map((key) => key.time) : [0, 1]
  const later = times.findIndex((keyTime) => keyTime > time)
  const place = later < 0 ? times.length : later
  entries.splice(place, 0, keyText({ time: clamp(time, 0, 1), value, easing: 'linear' }))
  return { text: entries.join(', '), place }
}

/** @param {string} text @param {number} place */
export const withoutKey = (text, place) => split(text).entries.filter((_, index) => index !== place).join(', ')

/** @typedef {import('./weightmap_panel_logic.js').Range} Range */

/** The value that a key press gives a bar, or null. @param {{ key: string, shiftKey?: boolean }} event @param {number} value @param {Range} range */
export function barKey(event, value, { low, high }) {
  const step = event.shiftKey ? STEP.largeValue : STEP.value
  const newValue = {
    ArrowUp: value + step,
    ArrowRight: value + step,
    ArrowDown: value - step,
    ArrowLeft: value - step,
    PageUp: value + STEP.largeValue,
    PageDown: value - STEP.largeValue,
    Home: low,
    End: high,
    Delete: 0,
    Backspace: 0,
  }[event.key]
  return newValue === undefined ? null : round(clamp(newValue, low, high))
}

/**
 * The text that a key press on a keyframe gives, and which one is then in hand; or null.
 * @param {{ key: string, shiftKey?: boolean }} event @param {string} text @param {number} place @param {Range} range
 * @returns {{ text: string, place: number } | null}
 */
export function pointKey(event, text, place, { low, high }) {
  const { keys } = parseCurve(text)
  const { time, value, easing } = keys[place]
  const [up, right] = event.shiftKey ? [STEP.largeValue, STEP.largeTime] : [STEP.value, STEP.time]
  const changed = (change) => ({ text: withKey(text, place, change), place })
  switch (event.key) {
    case 'ArrowUp': return changed({ value: clamp(value + up, low, high) })
    case 'ArrowDown': return changed({ value: clamp(value - up, low, high) })
    case 'ArrowRight': return changed({ time: time + right })
    case 'ArrowLeft': return changed({ time: time - right })
    case 'Home': return changed({ value: low })
    case 'End': return changed({ value: high })
    case ' ': return changed({ easing: EASINGS[(EASINGS.indexOf(easing) + 1) % EASINGS.length] })
    case 'Enter': case 'Insert': {
      const until = keys[place + 1]?.time ?? 1
      const middle = round((time + until) / 2)
      return withNewKey(text, middle, valueAt(keys, middle))
    }
    case 'Delete': case 'Backspace':
      return { text: withoutKey(text, place), place: Math.max(0, place - 1) }
    default: return null
  }
}

const ramp = (from, to) => (count) =>
  Array.from({ length: count }, (_, place) => round(from + ((to - from) * place) / (count - 1))).join(', ')
const part = (kind) => (count) =>
  Array.from({ length: count }, (_, place) => (blockName(count, place).startsWith(kind) ? 1 : 0)).join(', ')

/** Name -> the text of 'layers' for so many blocks. */
export const LAYER_PRESETS = {
  'all equal': () => '',
  'input blocks': part('input'),
  'middle block': part('middle'),
  'output blocks': part('output'),
  'falling with depth': ramp(1, 0),
  'rising with depth': ramp(0, 1),
}
/** Name -> the text of 'curve'. */
export const CURVE_PRESETS = {
  throughout: '',
  'fading out': '0:1, 1:0 ease',
  'fading in': '0:0, 1:1 ease',
  'first half': '0:1, 0.5:0 hold',
  'second half': '0:0, 0.5:1 hold',
  'strong first, weak later': '0:1, 0.3:1, 0.6:0.3 ease',
  'in the middle': '0:0, 0.5:1 ease, 1:0 ease',
}

/** The name of the preset that a text is, or ''. @param {Record<string, string>} presets @param {string} text */
export const presetOf = (presets, text) => Object.keys(presets).find((name) => presets[name] === text.trim()) ?? ''

const BLOCK_COUNTS = [16, 11, 57, 38] // of SD1.5, SDXL, FLUX.1 and SD3.5 Large
const LARGEST_USUAL = 10

/**
 * What is odd about texts that can be read, or ''.
 * @param {{ kind: string, values: number[] }} layers @param {Keyframe[]} keys @param {number} [blocks] of the last run's model
 */
export function oddity({ kind, values }, keys, blocks) {
  const count = values.length
  if (kind === 'list' && blocks && count !== blocks) {
    return say('layers: <count> numbers, but the model of the last run has <blocks> blocks', { count, blocks })
  }
  if (kind === 'list' && !blocks && !BLOCK_COUNTS.includes(count)) {
    return say('layers: <count> numbers; SD1.5 has 16 blocks, SDXL 11, FLUX.1 57, SD3.5 Large 38', { count })
  }
  const large = [...values, ...keys.map((key) => key.value)].find((value) => Math.abs(value) > LARGEST_USUAL)
  return large === undefined ? '' : say('<value> is a very large factor: 0 to 2 is usual', { value: large })
}
