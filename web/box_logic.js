// Pure: a box in a picture, drawn, dragged, moved by keys, and as text. Does nothing when the page imports it by itself.

import { say } from './words.js'

/** @typedef {{ x: number, y: number, width: number, height: number }} Box in whole pixels of the picture */
/** @typedef {{ width: number, height: number }} Size */
/** @typedef {{ x: number, y: number }} Point */

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i
const EDGES = { n: 'top', s: 'bottom', w: 'left', e: 'right' }

/** @param {number} value @param {number} low @param {number} high */
const clamp = (value, low, high) => Math.min(high, Math.max(low, value))

/**
 * The box of a text `x, y, width, height`; null for an empty one.
 * @param {string} text
 * @returns {{ box?: Box, error?: string } | null}
 */
export function parseBox(text) {
  if (!text.trim()) return null
  const parts = text.split(/[,;][ \t\r]*\n|[,;\n]/).map((part) => part.trim())
  while (parts.length && !parts.at(-1)) parts.pop()
  const [x, y, width, height] = parts.map((part) => (NUMBER.test(part) ? Number(part) : NaN))
  const areIntegers = parts.length === 4 && [x, y, width, height].every(Number.isInteger)
  if (!areIntegers || width <= 0 || height <= 0) return { error: say('box: write x, y, width, height, or nothing') }
  return { box: { x, y, width, height } }
}

/** @param {Box | null} box */
export const boxText = (box) => (box ? [box.x, box.y, box.width, box.height].join(', ') : '')

/** Where a picture stands in an area that is not smaller than it: whole, in the middle. @param {Size} picture @param {Size} area */
export function layout(picture, area) {
  const scale = Math.min(area.width / picture.width, area.height / picture.height)
  const left = (area.width - picture.width * scale) / 2
  const top = (area.height - picture.height * scale) / 2
  return { left, top, scale }
}

/** @param {Point} at in the area @param {{ left: number, top: number, scale: number }} place @returns {Point} in the picture */
export const toPicture = (at, { left, top, scale }) => ({ x: (at.x - left) / scale, y: (at.y - top) / scale })

/**
 * What is under a point: corners and edges as directions of the compass ('nw', 'e'), 'move' inside, 'new' elsewhere.
 * @param {Box | null} box @param {Point} at @param {number} reach how far from an edge still counts, in pixels of the picture
 */
export function partAt(box, at, reach) {
  if (!box) return 'new'
  const { left, top, right, bottom } = edges(box)
  const inside = at.x > left - reach && at.x < right + reach && at.y > top - reach && at.y < bottom + reach
  if (!inside) return 'new'
  const vertical = edgeAt(at.y, [top, bottom], reach, 'ns')
  const horizontal = edgeAt(at.x, [left, right], reach, 'we')
  return vertical + horizontal || 'move'
}

/** The direction of the nearer edge, or '' for none in reach. @param {number} value @param {number[]} places @param {number} reach @param {string} directions */
function edgeAt(value, places, reach, directions) {
  const [low, high] = places.map((place) => Math.abs(value - place))
  if (Math.min(low, high) > reach) return ''
  return directions[low <= high ? 0 : 1]
}

const edges = (/** @type {Box} */ box) => ({
  left: box.x, top: box.y, right: box.x + box.width, bottom: box.y + box.height,
})

/**
 * The box after a drag: never empty, inside the picture where it was or began there.
 * @param {string} part as `partAt` @param {Box | null} box before the drag @param {Point} from @param {Point} to @param {Size} picture
 * @returns {Box}
 */
export function dragBox(part, box, from, to, picture) {
  if (!box || part === 'new') return boxBetween({ left: from.x, right: to.x, top: from.y, bottom: to.y }, picture)
  const [across, down] = [to.x - from.x, to.y - from.y].map(Math.round)
  if (part === 'move') return moveBox(box, across, down, picture)
  const sides = edges(box)
  for (const direction of part) sides[EDGES[direction]] += 'we'.includes(direction) ? across : down
  return boxBetween(sides, picture)
}

/** @param {Box} box @param {number} across @param {number} down @param {Size} picture @returns {Box} */
const moveBox = (box, across, down, picture) => ({
  ...box,
  x: clamp(box.x + across, Math.min(0, box.x), Math.max(picture.width - box.width, box.x)),
  y: clamp(box.y + down, Math.min(0, box.y), Math.max(picture.height - box.height, box.y)),
})

/** @param {{ left: number, right: number, top: number, bottom: number }} sides in any order @param {Size} picture @returns {Box} */
function boxBetween({ left, right, top, bottom }, picture) {
  const [x, width] = span(left, right, picture.width)
  const [y, height] = span(top, bottom, picture.height)
  return { x, y, width, height }
}

/** Start and length between two edges. @param {number} edge @param {number} oppositeEdge @param {number} length of the picture */
function span(edge, oppositeEdge, length) {
  const [low, high] = [edge, oppositeEdge].map((value) => clamp(Math.round(value), 0, length)).sort((a, b) => a - b)
  const start = Math.min(low, length - 1)
  return [start, Math.max(1, high - start)]
}

/** The middle half of a picture: where a box begins that is made without a pointer. @param {Size} picture @returns {Box} */
export const middleBox = ({ width, height }) =>
  boxBetween({ left: width / 4, right: (width * 3) / 4, top: height / 4, bottom: (height * 3) / 4 }, { width, height })

/**
 * The box that a key press on a part of it gives: null removes it, undefined is no key of ours.
 * @param {{ key: string, shiftKey?: boolean }} event @param {string} part 'move', 'nw' or 'se' @param {Box} box @param {Size} picture
 * @returns {Box | null | undefined}
 */
export function boxAfterKey(event, part, box, picture) {
  const step = event.shiftKey ? 10 : 1
  const by = {
    ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step],
  }[event.key]
  if (by) return dragBox(part, box, { x: 0, y: 0 }, { x: by[0], y: by[1] }, picture)
  return event.key === 'Delete' || event.key === 'Backspace' ? null : undefined
}

/** A file name as nodes hold it, `folder/name.png [output]`, as the host's /view wants it. @param {string} value */
export function fileOf(value) {
  const [, path, type] = /^(.*?)(?: \[(input|output|temp)\])?$/s.exec(value)
  const cut = path.replaceAll('\\', '/').lastIndexOf('/')
  return { filename: path.slice(cut + 1), subfolder: path.slice(0, Math.max(0, cut)), type: type ?? 'input' }
}
