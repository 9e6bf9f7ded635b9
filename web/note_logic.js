// Pure: what to say on a node. Does nothing when the page imports it by itself.

export const OURS = new Set([
  'LoadIPAdapter',
  'LoadCLIPVision',
  'ApplyIPAdapter',
  'FaceCrop',
  'EncodeIPAdapterReference',
  'IPAdapterRegion',
  'IPAdapterTiles',
  'SaveIPAdapterEmbeds',
  'LoadIPAdapterEmbeds',
  'InspectIPAdapter',
])

/**
 * The lines that a node sent with its last run.
 * @param {{ text?: string[] } | null | undefined} output
 */
export function noteOf(output) {
  return (output?.text ?? []).filter((line) => typeof line === 'string' && line).join('\n')
}
