// Pure: the pictures that something dropped or pasted holds. Does nothing when the page imports it by itself.

const INPUTS = 'images.' // of IPAdapter References, which grow

/** @param {{ files: Iterable<File> } | null | undefined} data @returns {File[]} */
export function picturesOf(data) {
  return [...(data?.files ?? [])].filter(({ type }) => type.startsWith('image/'))
}

/** The place of the next input for a picture, -1 where all are taken. @param {{ name: string, link?: number | null }[]} inputs */
export function freeInput(inputs) {
  return inputs.findIndex(({ name, link }) => name.startsWith(INPUTS) && link == null)
}
