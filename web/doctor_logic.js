// Pure: what the doctor's panel says. Does nothing when the page imports it by itself.

import { say, translate } from './words.js'

export const BASES = ['SD1.5', 'SDXL']
export const PURPOSES = [
  ['look', 'the look of an image'],
  ['face', 'a face'],
  ['composition', 'only the composition'],
]
export const DOING = {
  connecting: 'connecting: <name>',
  downloading: 'downloading <name>: <done> of <total>',
  copying: 'copying <name>: <done> of <total>',
  checking: 'checking <name>: <done> of <total>',
}

/**
 * What is there and what is missing for one thing to do.
 * @param {any} report as the doctor's route sends it
 * @param {string} base @param {string} purpose
 * @returns {{ ready: boolean, lines: string[], rows: any[] }} rows: files of the model table to get
 */
export function planOf(report, base, purpose) {
  const need = report.needs.find((goal) => goal.base === base && goal.purpose === purpose)
  if (!need) return { ready: false, lines: [], rows: [] }
  const lines = need.there.map(({ adapter, partners, recommended }) => {
    const files = { adapter, encoder: partners.join(', ') }
    return recommended ? say('<adapter> with <encoder> (recommended)', files) : say('<adapter> with <encoder>', files)
  })
  return { ready: lines.length > 0, lines, rows: rowsOf(report, need.missing) }
}

/**
 * What to download first, while no installed adapter works; null afterwards.
 * @param {any} report
 * @returns {{ text: string, rows: any[] } | null}
 */
export function startOf(report) {
  return report.start && { text: translate(report.start.text), rows: rowsOf(report, report.start.files) }
}

/** @param {any} report @param {string[]} names of files @returns {any[]} their rows of the model table */
function rowsOf(report, names) {
  return names.map((name) => report.table.find((row) => row.name === name)).filter(Boolean)
}

/**
 * The files to list: those that are used first, each with what fits it.
 * @param {any} report
 * @returns {{ path: string, text: string }[]}
 */
export function installedOf(report) {
  const order = ['adapter', 'encoder', 'recogniser', 'embeds']
  const files = report.files.filter((file) => file.usable || file.kind === 'embeds')
  files.sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind))
  return files.map((file) => ({ path: shortPath(file), text: textOf(file) }))
}

/** The path; of a file outside the models folder its kind and name alone. @param {any} file */
function shortPath({ path, folder, name }) {
  return typeof path === 'string' ? path : `${folder}/${name}`
}

/** @param {any} file */
function textOf(file) {
  const [what, size] = [translate(file.text), translate(file.size)]
  if (file.kind !== 'adapter') return say('<what> (<size>)', { what, size })
  const encoders = file.works_with.join(', ')
  if (file.missing === 'recogniser') return say('<what> (<size>); no installed face recogniser fits', { what, size })
  if (!encoders) return say('<what> (<size>); no installed encoder fits', { what, size })
  return say('<what> (<size>); works with <encoders>', { what, size, encoders })
}

/** @param {any} report @returns {string[]} one sentence for each file with something wrong */
export function problemsOf(report) {
  return report.files
    .filter((file) => file.advice)
    .map(({ path, advice }) => say('<file> <advice>.', { file: translate(path), advice: translate(advice) }))
}

/** @param {any} row of the model table */
export function aboutRow(row) {
  const { licence, folder } = row
  const size = translate(row.size)
  const kinds = { encoder: say('encoder'), recogniser: say('face recogniser') }
  const kind = kinds[row.kind] ?? row.kind
  const purpose = PURPOSES.find(([name]) => name === row.purpose)?.[1]
  const model = [row.base, kind].filter(Boolean).join(' ')
  let what = purpose ? say('<model> for <purpose>', { model, purpose: say(purpose) }) : model
  if (!row.runs) what = say('<model>: for other packs, not supported by this one', { model })
  const about = say('<what>; <size>; <licence>; into models/<folder>', { what, size, licence, folder })
  return row.origin ? `${about}; ${translate(row.origin)}` : about
}

/** @param {any} state of a download @returns {number} 0 to 1 */
export function shareOf(state) {
  return state?.total ? Math.min(1, Math.max(0, state.done / state.total)) : 0
}

/** @param {any} state of a download, or null @returns {string} */
export function stateText(state) {
  if (!state) return ''
  const { name, status } = state
  if (status === 'done') return say('<name> is installed.', { name })
  if (status === 'cancelled') return say('<name>: cancelled, nothing was left behind.', { name })
  if (status === 'failed') return translate(state.message)
  return say(DOING[state.doing], { name, done: bytes(state.done), total: bytes(state.total) })
}

/** @param {any} state */
export function isRunning(state) {
  return state?.status === 'running'
}

/** @param {number} count */
export function bytes(count) {
  return count >= 1e9 ? `${(count / 1e9).toFixed(2)} GB` : `${(count / 1e6).toFixed(1)} MB`
}
