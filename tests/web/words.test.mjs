import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { afterEach, test } from 'node:test'

import { aboutRow, planOf, PURPOSES } from '../../web/doctor_logic.js'
import { noteOf } from '../../web/note_logic.js'
import { loadWords, say, translate, useWords } from '../../web/words.js'

const addressOf = (path) => new URL(`../../${path}`, import.meta.url)
const tableOf = (language) => JSON.parse(readFileSync(addressOf(`locales/${language}/main.json`), 'utf8')).ipadapter
const SAID = /\bsay\((?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")/g

afterEach(() => useWords({}))

for (const language of ['en', 'zh']) {
  test(`every word of the web extension is there in ${language}`, () => {
    const table = tableOf(language)
    const files = readdirSync(addressOf('web')).filter((name) => name.endsWith('.js'))
    const calls = files.flatMap((name) => [...readFileSync(addressOf(`web/${name}`), 'utf8').matchAll(SAID)])
    const texts = calls.map(([, single, double]) => single ?? double)
    assert.ok(texts.includes('Copy report') && texts.length > 60)
    assert.deepEqual(texts.filter((text) => !table[text]), [])
    assert.deepEqual(PURPOSES.filter(([, text]) => !table[text]), [])
  })
}

test('no element of the panels holds a word of its own', () => {
  const bare = /make\('[\w-]+', \{[^}]*\}, '[A-Z][a-z]|(?:textContent|ariaLabel|title) ?[=:] ?['"`][A-Z]/
  for (const name of readdirSync(addressOf('web')).filter((file) => file.endsWith('.js'))) {
    assert.doesNotMatch(readFileSync(addressOf(`web/${name}`), 'utf8'), bare, name)
  }
})

test('a word that is not there is English, and marks are filled once', () => {
  useWords({ 'Problems (<count>)': '\u95ee\u9898 (<count>)' })
  assert.equal(say('Problems (<count>)', { count: 3 }), '\u95ee\u9898 (3)')
  assert.equal(say('Installed (<count>)', { count: '<count>' }), 'Installed (<count>)')
  assert.equal(say('<a> and <b>', { a: '<b>', b: '$&' }), '<b> and $&')
})

test('a text of the server is translated with the texts in it, and a plain one stays as it is', () => {
  useWords(tableOf('zh'))
  const size = { text: "<1> ('<2>' has <3>)", values: ['12.0 MB', 'a.safetensors', '44.6 MB'] }
  const unfinished = { text: 'is an unfinished download of <1>: <2>, or delete it', values: [size, { text: 'finish the download', values: [] }] }
  const translated = translate(unfinished)
  assert.match(translated, /[\u4e00-\u9fff]/)
  assert.match(translated, /12\.0 MB.*a\.safetensors.*44\.6 MB/)
  assert.doesNotMatch(translated, /\b(is|an|has|finish|delete)\b/)
  assert.equal(translate('finish the download'), 'finish the download')
})

test('a text that is not among the translations is its English one, and marks in values stay', () => {
  const note = { text: '<1>; <2>', values: ['<2>', { text: '<1> of <2>', values: ['$&', '<1>'] }] }
  assert.equal(translate(note), '<2>; $& of <1>')
})

test('the note of a node is its lines in the language of the page', () => {
  useWords(tableOf('zh'))
  const lines = ['a.bin', '', { text: 'one token per patch', values: [] }]
  assert.equal(noteOf({ ipadapter_note: lines }), `a.bin\n${say('one token per patch')}`)
  assert.equal(noteOf({ text: ['of another node'] }), '')
  assert.equal(noteOf(null), '')
})

test('the panel speaks the language that it was given', () => {
  useWords(tableOf('zh'))
  const row = { name: 'h', runs: true, base: 'SDXL', kind: 'plus', purpose: 'face', size: '2.53 GB', licence: 'Apache-2.0', folder: 'ipadapter' }
  assert.match(aboutRow(row), /^SDXL plus.*\u4eba\u8138.*2\.53 GB.*Apache-2\.0.*models\/ipadapter$/)
  const needs = [{ base: 'SD1.5', purpose: 'look', there: [{ adapter: 'a', partners: ['e'] }], missing: [] }]
  assert.deepEqual(planOf({ needs, table: [] }, 'SD1.5', 'look').lines, ['a\uff0c\u642d\u914d e'])
})

test('words come with the page in its language', async () => {
  const api = { fetchApi: async () => ({ json: async () => ({ zh: { ipadapter: { Close: '\u5173\u95ed' } } }) }) }
  const app = (/** @type {string} */ locale) => ({ extensionManager: { setting: { get: () => locale } } })
  await loadWords(app('zh'), api)
  assert.equal(say('Close'), '\u5173\u95ed')
  await loadWords(app('tr'), api)
  assert.equal(say('Close'), 'Close')
})
