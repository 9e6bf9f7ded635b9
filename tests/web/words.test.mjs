import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { afterEach, test } from 'node:test'

import { aboutRow, planOf, PURPOSES } from '../../web/doctor_logic.js'
import { noteOf } from '../../web/note_logic.js'
import { hear, loadWords, say, useWords } from '../../web/words.js'

const at = (path) => new URL(`../../${path}`, import.meta.url)
const tableOf = (language) => JSON.parse(readFileSync(at(`locales/${language}/main.json`), 'utf8')).ipadapter
const SAID = /\bsay\((?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")/g

afterEach(() => useWords({}))

for (const language of ['en', 'zh']) {
  test(`every word of the web extension is there in ${language}`, () => {
    const table = tableOf(language)
    const files = readdirSync(at('web')).filter((name) => name.endsWith('.js'))
    const found = files.flatMap((name) => [...readFileSync(at(`web/${name}`), 'utf8').matchAll(SAID)])
    const wanted = found.map(([, one, other]) => one ?? other)
    assert.ok(wanted.includes('Copy report') && wanted.length > 60)
    assert.deepEqual(wanted.filter((text) => !table[text]), [])
    assert.deepEqual(PURPOSES.filter(([, text]) => !table[text]), [])
  })
}

test('no element of the panels holds a word of its own', () => {
  const bare = /make\('[\w-]+', \{[^}]*\}, '[A-Z][a-z]|(?:textContent|ariaLabel|title) ?[=:] ?['"`][A-Z]/
  for (const name of readdirSync(at('web')).filter((one) => one.endsWith('.js'))) {
    assert.doesNotMatch(readFileSync(at(`web/${name}`), 'utf8'), bare, name)
  }
})

test('a word that is not there is English, and marks are filled once', () => {
  useWords({ 'Problems (<count>)': '\u95ee\u9898 (<count>)' })
  assert.equal(say('Problems (<count>)', { count: 3 }), '\u95ee\u9898 (3)')
  assert.equal(say('Installed (<count>)', { count: '<count>' }), 'Installed (<count>)')
  assert.equal(say('<a> and <b>', { a: '<b>', b: '$&' }), '<b> and $&')
})

test('sentences of the server are heard with what they name, in their parts and line by line', () => {
  useWords(tableOf('zh'))
  const unfinished = "is an unfinished download of 12.0 MB ('a.safetensors' has 44.6 MB): finish it, or delete it"
  for (const sentence of [
    unfinished,
    'SD1.5 plus, 16 tokens, needs CLIP ViT-H/14',
    'is an adapter in the wrong folder: move it to models/ipadapter',
    'IPAdapter Advanced (node 3) becomes LoadCLIPVision, ApplyIPAdapter: a black picture is the negative, as IPAdapter_plus has it (without it the adapter sees nothing, as it was trained); masks lie exactly now: the same for pictures of a multiple of 64 pixels, straight where IPAdapter_plus sheared them.',
    "image: 25% of the picture is cut off (left and right of 400 x 300); 'fit' can pad or stretch instead.",
  ]) {
    const heard = hear(sentence)
    assert.match(heard, /[\u4e00-\u9fff]/)
    assert.doesNotMatch(heard, /\b(is|of|the|and|becomes|tokens|needs|finish)\b/, heard)
  }
  assert.match(hear(unfinished), /12\.0 MB.*a\.safetensors.*44\.6 MB/)
  assert.equal(hear('something else'), 'something else')
  assert.equal(noteOf({ text: ['a.bin', 'one token per patch'] }), `a.bin\n${hear('one token per patch')}`)
})

test('the panel speaks the language that it was given', () => {
  useWords(tableOf('zh'))
  const row = { name: 'h', runs: true, base: 'SDXL', kind: 'plus', purpose: 'face', size: '2.53 GB', licence: 'Apache-2.0', folder: 'ipadapter' }
  assert.match(aboutRow(row), /^SDXL plus.*\u4eba\u8138.*2\.53 GB.*Apache-2\.0.*models\/ipadapter$/)
  const needs = [{ base: 'SD1.5', purpose: 'look', there: [{ adapter: 'a', encoders: ['e'] }], missing: [] }]
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
