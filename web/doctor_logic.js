// Pure: what the doctor's panel says. Does nothing when the page imports it by itself.

export const BASES = ['SD1.5', 'SDXL']
export const PURPOSES = [
  ['look', 'the look of a picture'],
  ['face', 'a face'],
  ['composition', 'the composition alone'],
]

/**
 * What is there and what is missing for one thing to do.
 * @param {any} report as the doctor's route sends it
 * @param {string} base @param {string} purpose
 * @returns {{ ready: boolean, lines: string[], rows: any[] }} rows: files of the model table to get
 */
export function planOf(report, base, purpose) {
  const need = report.needs.find((one) => one.base === base && one.purpose === purpose)
  if (!need) return { ready: false, lines: [], rows: [] }
  const lines = need.there.map((one) => `${one.adapter} with ${one.encoders[0]}`)
  const rows = need.missing.map((name) => report.table.find((row) => row.name === name))
  return { ready: lines.length > 0, lines, rows: rows.filter(Boolean) }
}

/**
 * The files to list: those that are used first, each with what fits it.
 * @param {any} report
 * @returns {{ path: string, text: string }[]}
 */
export function installedOf(report) {
  const order = ['adapter', 'encoder', 'embeds']
  const shown = report.files.filter((one) => one.usable || one.kind === 'embeds')
  shown.sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind))
  return shown.map((one) => ({ path: one.path, text: textOf(one) }))
}

/** @param {any} file */
function textOf(file) {
  const parts = [`${file.text} (${file.size})`]
  if (file.kind === 'adapter') {
    const fits = file.works_with
    parts.push(fits.length ? `works with ${fits.join(', ')}` : 'no encoder here fits')
  }
  return parts.join('; ')
}

/** @param {any} report @returns {string[]} one sentence for each file with something wrong */
export function problemsOf(report) {
  return report.files.filter((one) => one.advice).map((one) => `${one.path} ${one.advice}.`)
}

/** @param {any} row of the model table */
export function aboutRow(row) {
  const what = [row.base, row.kind, row.purpose && `for ${row.purpose}`].filter(Boolean).join(' ')
  return `${what}; ${row.size}; ${row.licence}; into models/${row.folder}`
}

/** @param {any} state of a download @returns {number} 0 to 1 */
export function shareOf(state) {
  return state?.total ? Math.min(1, Math.max(0, state.done / state.total)) : 0
}

/** @param {any} state of a download, or null @returns {string} */
export function stateText(state) {
  if (!state) return ''
  if (state.status === 'done') return `${state.name} is in its place.`
  if (state.status === 'cancelled') return `${state.name}: cancelled, nothing was left behind.`
  if (state.status === 'failed') return state.message
  return `${state.doing} ${state.name}: ${bytes(state.done)} of ${bytes(state.total)}`
}

/** @param {any} state */
export function isRunning(state) {
  return state?.status === 'running'
}

/** @param {number} count */
export function bytes(count) {
  return count >= 1e9 ? `${(count / 1e9).toFixed(2)} GB` : `${(count / 1e6).toFixed(1)} MB`
}
