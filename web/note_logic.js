// Pure: the note that a node shows of its last run. Does nothing when the page imports it by itself.

import { translate } from './words.js'

export const NOTE = 'ipadapter_note' // the widget, and the entry in a node's output

export const OURS = new Set([
  'ImagePrompt',
  'IPAdapterReferences',
  'LoadIPAdapter',
  'LoadCLIPVision',
  'ApplyIPAdapter',
  'FaceCrop',
  'IPAdapterDoctor',
  'EncodeIPAdapterReference',
  'EncodeFaceIdentity',
  'IPAdapterRegion',
  'IPAdapterTiles',
  'SaveIPAdapterEmbeds',
  'LoadIPAdapterEmbeds',
  'InspectIPAdapter',
])

/** @type {Record<string, [number, number]>} */
const HEIGHTS = { IPAdapterDoctor: [240, 480], ImagePrompt: [112, 140] } // least and greatest, whatever they say
const [LINE, LETTER, MARGIN] = [14, 6.5, 20] // px of the note's font, and above and below it together
const MOST_LINES = 7

/** The greatest height of a node's note. @param {string} kind of node */
export function greatestHeight(kind) {
  return HEIGHTS[kind]?.[1] ?? MARGIN + MOST_LINES * LINE
}

/**
 * The height that a text takes on a node: estimated, since a node outside the window has no layout.
 * @param {string} kind of node @param {string} text @param {number} width of the node
 */
export function heightOf(kind, text, width) {
  if (HEIGHTS[kind]) return HEIGHTS[kind][0]
  const room = Math.max(1, Math.floor((width - 2 * MARGIN) / LETTER))
  const lines = text.split('\n').map((line) => Math.max(1, Math.ceil(letters(line) / room)))
  return MARGIN + LINE * Math.min(MOST_LINES, lines.reduce((sum, count) => sum + count, 0))
}

/** How many Latin letters are as wide as a line. @param {string} line */
function letters(line) {
  return [...line].reduce((sum, letter) => sum + (letter > '\u2e80' ? 2 : 1), 0)
}

/**
 * The lines that a node sent with its last run, in the page's language.
 * @param {{ text?: string[], ipadapter_note?: import('./words.js').Text[] } | null | undefined} output
 */
export function noteOf(output) {
  return (output?.[NOTE] ?? []).filter(Boolean).map(translate).join('\n')
}
