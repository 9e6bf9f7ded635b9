import { app } from '../../scripts/app.js'
import { api } from '../../scripts/api.js'

import { followDownload, make } from './doctor_parts.js'
import {
  aboutRow,
  BASES,
  installedOf,
  isRunning,
  planOf,
  problemsOf,
  PURPOSES,
  startOf,
} from './doctor_logic.js'
import { loadWords, say, translate } from './words.js'

const ROUTES = '/ipadapternodes'
const FOR_THE_GRAPH = [
  ...['keydown', 'keyup', 'copy', 'paste', 'wheel', 'contextmenu'],
  ...['pointerdown', 'pointermove', 'pointerup', 'mousedown', 'mouseup', 'click', 'dblclick'],
] // events in the dialog that the graph behind it must not see

// What is installed and missing, with downloads on request: menu Extensions > IPAdapter Doctor.
app.registerExtension({
  name: 'ipadapternodes.Doctor',
  commands: [
    {
      id: 'ipadapternodes.Doctor.Open',
      label: 'IPAdapter Doctor', // this and the tooltip in other languages: locales/*/commands.json and main.json
      tooltip: 'Which adapters and encoders are installed, what fits, and what is missing',
      icon: 'pi pi-heart',
      function: () => void open(),
    },
  ],
  menuCommands: [{ path: ['Extensions'], commands: ['ipadapternodes.Doctor.Open'] }],
})

async function open() {
  await loadWords(app, api)
  document.getElementById('ipadapter-doctor')?.remove()
  const dialog = make('dialog', { id: 'ipadapter-doctor', ariaLabel: say('IPAdapter Doctor') })
  dialog.addEventListener('close', () => dialog.remove())
  for (const kind of FOR_THE_GRAPH) {
    dialog.addEventListener(kind, (event) => event.stopPropagation())
  }
  app.canvas.canvas.parentElement.append(dialog) // shown above everything, wherever it hangs
  dialog.showModal()
  await fill(dialog)
}

/** @param {any} dialog @param {string} message to show above the report */
async function fill(dialog, message = '') {
  const body = make('div', { className: 'body' }, say('Reading the files ...'))
  dialog.replaceChildren(style(), head(dialog), body)
  try {
    const report = await (await api.fetchApi(`${ROUTES}/doctor`)).json()
    const follow = followDownload({ read, cancel, finished: (text) => refresh(dialog, text) })
    dialog.choice ??= { base: BASES[0], purpose: PURPOSES[0][0] }
    const parts = sections(report, dialog.choice, (row) => get(row, follow))
    body.replaceChildren(follow.element, ...parts)
    if (message) follow.note(message)
    const state = await read()
    if (isRunning(state)) follow.start(state)
  } catch (error) {
    body.textContent = say("IPAdapter Doctor does not answer (<error>): see ComfyUI's log, and restart ComfyUI.", { error })
  }
}

/** @param {any} dialog @param {string} message */
async function refresh(dialog, message) {
  await app.refreshComboInNodes?.() // the new file appears in the lists of the nodes
  if (dialog.open) await fill(dialog, message)
}

async function read() {
  return (await api.fetchApi(`${ROUTES}/download`)).json()
}

/** @param {string} path @param {any} body */
async function post(path, body) {
  const headers = { 'Content-Type': 'application/json' }
  const options = { method: 'POST', headers, body: JSON.stringify(body) }
  const reply = await api.fetchApi(`${ROUTES}/${path}`, options)
  return reply.json().catch(() => ({ error: say('The server answered with the status <status>.', { status: reply.status }) }))
}

function cancel() {
  return post('cancel', {})
}

/** @param {any} row @param {any} follow */
async function get(row, follow) {
  const state = await post('download', { name: row.name, terms: true }) // shown by `files`
  if (state.error) follow.note(translate(state.error))
  else follow.start(state)
}

/** @param {any} dialog */
function head(dialog) {
  const copy = make('button', { type: 'button' }, say('Copy report'))
  copy.onclick = () => copyReport(dialog, copy)
  const reload = make('button', { type: 'button' }, say('Refresh'))
  reload.onclick = () => fill(dialog)
  const close = make('button', { type: 'button', ariaLabel: say('Close') }, '\u00d7')
  close.onclick = () => dialog.close()
  return make('header', {}, make('h2', {}, say('IPAdapter Doctor')), copy, reload, close)
}

/** @param {any} dialog @param {any} button */
async function copyReport(dialog, button) {
  const text = dialog.querySelector('textarea')
  if (!text) return
  try {
    await navigator.clipboard.writeText(text.value)
  } catch {
    text.closest('details').open = true // no clipboard on plain http: the user copies it
    text.select()
    button.textContent = say('Press Ctrl+C')
    return
  }
  button.textContent = say('Copied')
}

/** @param {any} report @param {any} choice @param {(row: any) => void} get */
function sections(report, choice, get) {
  const problems = problemsOf(report)
  const installed = installedOf(report)
  const start = startOf(report)
  const wrong = section(say('Problems (<count>)', { count: problems.length }), list(problems))
  const isFirst = start !== null && problems.length > 0 // a file to move need not be downloaded
  return [
    ...(isFirst ? [wrong] : []),
    ...(start ? [section(say('Start here'), make('div', { className: 'answer' }, start.text, files(start.rows, get)))] : []),
    goal(report, choice, get),
    ...(isFirst ? [] : [wrong]),
    section(
      say('Installed (<count>)', { count: installed.length }),
      list(installed.map(({ path, text }) => [make('b', {}, path), make('div', {}, text)])),
    ),
    details(say('All files that can be downloaded'), files(report.table, get)),
    details(say('The report as text'), make('textarea', { readOnly: true, value: report.text })),
  ]
}

/** @param {any} report @param {any} choice kept while the dialog is open @param {(row: any) => void} get */
function goal(report, choice, get) {
  const base = make('select', { ariaLabel: say('Base model') })
  base.append(...BASES.map((name) => make('option', { value: name }, name)))
  const purpose = make('select', { ariaLabel: say('Purpose') })
  purpose.append(...PURPOSES.map(([value, text]) => make('option', { value }, say(text))))
  base.value = choice.base
  purpose.value = choice.purpose
  const answer = make('div', { className: 'answer', role: 'status' })
  const show = () => {
    Object.assign(choice, { base: base.value, purpose: purpose.value })
    const plan = planOf(report, choice.base, choice.purpose)
    answer.className = plan.ready ? 'answer ready' : 'answer'
    answer.replaceChildren(
      make('b', {}, plan.ready ? say('Ready') : say('Missing')),
      list(plan.lines),
      files(plan.rows, get),
    )
  }
  base.onchange = purpose.onchange = show
  show()
  const selects = { '<base>': base, '<purpose>': purpose }
  const parts = say('With <base> I want to follow <purpose>').split(/(<\w+>)/)
  return make('section', {}, make('p', {}, ...parts.map((part) => selects[part] ?? part)), answer)
}

/** @param {any[]} rows @param {(row: any) => void} get */
function files(rows, get) {
  return list(
    rows.map((row) => {
      const link = make('a', { href: row.link, target: '_blank', rel: 'noopener' }, row.name)
      const button = make('button', { type: 'button', disabled: row.there })
      button.textContent = row.there ? say('Installed') : say('Download')
      button.onclick = () => get(row)
      button.ariaLabel = `${button.textContent} ${row.name}`
      const sum = make('div', { className: 'sum' }, row.sha256 && `SHA-256 ${row.sha256}`)
      const about = make('div', {}, aboutRow(row))
      const text = make('div', {}, link, about, sum)
      if (row.terms) button.onclick = () => showTerms(text, translate(row.terms), button, () => get(row))
      return [make('div', { className: 'file' }, text, button)]
    }),
  )
}

/** The first press shows the terms, the second agrees. @param {any} text @param {string} terms @param {any} button @param {() => void} get */
function showTerms(text, terms, button, get) {
  text.append(make('div', { className: 'terms' }, terms))
  button.textContent = say('Agree and download')
  button.onclick = get
}

/** @param {any[]} lines text, or lists of elements */
function list(lines) {
  return make('ul', {}, ...lines.map((line) => make('li', {}, ...[line].flat())))
}

/** @param {string} title @param {any} content */
function section(title, content) {
  return make('section', {}, make('h3', {}, title), content)
}

/** @param {string} title @param {any} content */
function details(title, content) {
  return make('details', {}, make('summary', {}, title), content)
}

function style() {
  const sheet = new URL('./doctor.css', import.meta.url).href
  return make('link', { rel: 'stylesheet', href: sheet })
}
