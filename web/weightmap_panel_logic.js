// Pure: places in the panels of IPAdapter Weight Map and the values there. Does nothing when the page imports it by itself.

import { STEP, clamp, round } from './weightmap_logic.js'

/** @typedef {import('./weightmap_logic.js').Keyframe} Keyframe */

/** What the panel shows from bottom to top: at least 0 to 2. @param {number[]} values */
export const rangeOf = (values) => ({
  low: Math.min(0, Math.floor(Math.min(0, ...values))),
  high: Math.max(2, Math.ceil(Math.max(0, ...values))),
})

/** @typedef {{ low: number, high: number }} Range */

/** @param {number} value @param {Range} range @returns {number} 0 at the bottom, 1 at the top */
export const heightOf = (value, { low, high }) => clamp((value - low) / (high - low), 0, 1)

/** The value at a place in the panel, in steps. @param {number} y 0 at the top, 1 at the bottom @param {Range} range */
export const valueOf = (y, { low, high }) =>
  round(Math.round((low + clamp(1 - y, 0, 1) * (high - low)) / STEP.value) * STEP.value)

/** The bar under a place. @param {number} x 0 to 1 @param {number} count */
export const hitBar = (x, count) => clamp(Math.floor(x * count), 0, count - 1)

/**
 * The bars that a stroke of the pointer crosses, each with the height it has there; a fast one leaves none out.
 * @param {{ x: number, y: number }} from 0 to 1 @param {{ x: number, y: number }} to @param {number} count
 * @returns {[number, number][]} block and height
 */
export function barsCrossed(from, to, count) {
  const [first, last] = [hitBar(from.x, count), hitBar(to.x, count)]
  const step = Math.sign(last - first)
  const crossed = Array.from({ length: Math.abs(last - first) }, (_, place) => first + step * (place + 1))
  const share = (block) => (block - first) / (last - first)
  return first === last ? [[last, to.y]] : crossed.map((block) => [block, from.y + (to.y - from.y) * share(block)])
}

/**
 * The keyframe under a place, or -1; the later one of two at one place.
 * @param {Keyframe[]} keys @param {{ x: number, y: number }} at 0 to 1 from the top left
 * @param {Range} range @param {{ x: number, y: number }} reach
 */
export function hitKey(keys, at, range, reach) {
  const distance = (key) =>
    Math.hypot((key.time - at.x) / reach.x, (1 - heightOf(key.value, range) - at.y) / reach.y)
  let [best, least] = [-1, 1]
  keys.forEach((key, place) => {
    if (distance(key) <= least) [best, least] = [place, distance(key)]
  })
  return best
}

const LEAST_DISTANCE = 0.14 // of two numbers at an axis, as a part of its length

/** The values that an axis shows, from top to bottom: the ends, 0, and 1 where it has room. @param {Range} range */
export function ticksOf({ low, high }) {
  return [...new Set(1 / (high - low) < LEAST_DISTANCE ? [high, 0, low] : [high, 1, 0, low])]
}
