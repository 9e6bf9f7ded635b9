import assert from 'node:assert/strict'
import { test } from 'node:test'

import {
  aboutRow,
  bytes,
  installedOf,
  isRunning,
  planOf,
  problemsOf,
  shareOf,
  startOf,
  stateText,
} from '../../web/doctor_logic.js'

const row = { name: 'h', runs: true, base: '', kind: 'encoder', purpose: '', size: '2.53 GB', licence: 'Apache-2.0', folder: 'clip_vision' }
const report = {
  files: [
    { kind: 'encoder', path: 'models/e', text: 'ViT-H', size: '1 MB', usable: true, advice: '', works_with: [] },
    { kind: 'adapter', path: 'models/a', text: 'SD1.5 plus', size: '9 MB', usable: true, advice: '', works_with: ['e'] },
    { kind: 'adapter', path: 'models/b', text: 'SDXL base', size: '9 MB', usable: true, advice: '', works_with: [], missing: 'encoder' },
    { kind: 'adapter', path: 'models/f', text: 'FaceID', size: '9 MB', usable: true, advice: '', works_with: [], missing: 'recogniser' },
    { kind: 'adapter', path: 'loras/c', text: 'SDXL base', size: '9 MB', usable: false, advice: 'is in the wrong folder', works_with: [] },
    { kind: 'embeds', path: 'output/x', text: 'embeds', size: '1 MB', usable: false, advice: '', works_with: [] },
    { kind: 'other', path: 'models/o', text: 'is cut off', size: '1 MB', usable: false, advice: 'is cut off', works_with: [] },
  ],
  needs: [
    { base: 'SD1.5', purpose: 'look', there: [{ adapter: 'a', partners: ['e', 'r'] }], missing: [] },
    { base: 'SDXL', purpose: 'face', there: [], missing: ['h', 'not in the table'] },
  ],
  table: [row],
}

test('what is there makes a plan ready, with an encoder and a recogniser that fit', () => {
  assert.deepEqual(planOf(report, 'SD1.5', 'look'), { ready: true, lines: ['a with e, r'], rows: [] })
})

test('among several that work the recommended one is marked', () => {
  const [adapter, other] = ['a', 'b'].map((name) => ({ adapter: name, partners: ['e'], recommended: name === 'a' }))
  const needs = [{ base: 'SD1.5', purpose: 'look', there: [adapter, other], missing: [] }]
  assert.deepEqual(planOf({ needs, table: [] }, 'SD1.5', 'look').lines, ['a with e (recommended)', 'b with e'])
})

test('what to download first is a sentence and rows of the table, while nothing works', () => {
  const text = { text: 'Download first, for <1>: <2>.', values: ['SD1.5', 'h'] }
  assert.deepEqual(startOf({ ...report, start: { text, files: ['h'] } }), { text: 'Download first, for SD1.5: h.', rows: [row] })
  assert.equal(startOf({ ...report, start: null }), null)
})

test('what is missing is named by its row of the table', () => {
  assert.deepEqual(planOf(report, 'SDXL', 'face'), { ready: false, lines: [], rows: [row] })
  assert.deepEqual(planOf(report, 'SDXL', 'look'), { ready: false, lines: [], rows: [] })
})

test('files that can be used come first, adapters before encoders before embeds', () => {
  assert.deepEqual(installedOf(report), [
    { path: 'models/a', text: 'SD1.5 plus (9 MB); works with e' },
    { path: 'models/b', text: 'SDXL base (9 MB); no installed encoder fits' },
    { path: 'models/f', text: 'FaceID (9 MB); no installed face recogniser fits' },
    { path: 'models/e', text: 'ViT-H (1 MB)' },
    { path: 'output/x', text: 'embeds (1 MB)' },
  ])
})

test('that a file lies outside the models folder is no news where it is installed', () => {
  const path = { text: '<1>/<2> (outside the models folder)', values: ['ipadapter', 'x/a'] }
  const file = { ...report.files[1], path, folder: 'ipadapter', name: 'x/a' }
  assert.equal(installedOf({ files: [file] })[0].path, 'ipadapter/x/a')
  const [problem] = problemsOf({ files: [{ ...file, advice: 'is cut off' }] })
  assert.equal(problem, 'ipadapter/x/a (outside the models folder) is cut off.')
})

test('every file with advice is a problem, in one sentence', () => {
  assert.deepEqual(problemsOf(report), ['loras/c is in the wrong folder.', 'models/o is cut off.'])
})

test('a row says kind, size, licence and folder', () => {
  assert.equal(aboutRow(row), 'encoder; 2.53 GB; Apache-2.0; into models/clip_vision')
  assert.match(aboutRow({ ...row, kind: 'recogniser' }), /^face recogniser; 2.53 GB; /)
  const origin = { text: 'a copy by <1>; first published: <2>', values: ['x', 'y.zip'] }
  assert.match(aboutRow({ ...row, origin }), /into models\/clip_vision; a copy by x; first published: y.zip$/)
  const adapterRow = { ...row, base: 'SDXL', kind: 'plus', purpose: 'face', folder: 'ipadapter' }
  assert.equal(aboutRow(adapterRow), 'SDXL plus for a face; 2.53 GB; Apache-2.0; into models/ipadapter')
  const foreign = { ...adapterRow, kind: 'FaceID', purpose: '', runs: false }
  assert.match(aboutRow(foreign), /^SDXL FaceID: for other packs, not supported by this one; /)
})

test('a download is told by what it does and how far it is', () => {
  const state = { name: 'h', status: 'running', doing: 'downloading', done: 5e8, total: 2e9 }
  assert.equal(shareOf(state), 0.25)
  assert.equal(stateText(state), 'downloading h: 500.0 MB of 2.00 GB')
  assert.ok(isRunning(state))
  assert.equal(stateText({ ...state, status: 'failed', message: 'No room.' }), 'No room.')
  assert.equal(stateText({ ...state, status: 'done' }), 'h is installed.')
  assert.equal(stateText({ ...state, status: 'cancelled' }), 'h: cancelled, nothing was left behind.')
  assert.equal(stateText(null), '')
  assert.deepEqual([shareOf(null), shareOf({ done: 5, total: 0 }), shareOf({ done: 3, total: 2 })], [0, 0, 1])
  assert.ok(!isRunning(null) && !isRunning({ ...state, status: 'done' }))
  assert.equal(bytes(1e9), '1.00 GB')
})
