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
const HEIGHTS = { IPAdapterDoctor: [240, 480], ImagePrompt: [112, 140] } // of the nodes that say more than a line

/** The least and greatest height of a node's note. @param {string} kind of node @returns {[number, number]} */
export function heightsOf(kind) {
  return HEIGHTS[kind] ?? [32, 60]
}

/**
 * The lines that a node sent with its last run, in the page's language.
 * @param {{ text?: string[], ipadapter_note?: import('./words.js').Text[] } | null | undefined} output
 */
export function noteOf(output) {
  return (output?.[NOTE] ?? []).filter(Boolean).map(translate).join('\n')
}
