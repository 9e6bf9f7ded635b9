import assert from 'node:assert/strict'
import { test } from 'node:test'

import { listed, shiftsDown, shortened, summaryOf } from '../../web/oldgraphs_logic.js'

const NAMES = { LoadIPAdapter: 'Load IPAdapter', ApplyIPAdapter: 'Apply IPAdapter', IPAdapterWeightMap: 'IPAdapter Weight Map' }
const nameOf = (/** @type {string} */ kind) => NAMES[kind]
const loader = { name: 'IPAdapter Model Loader', new_kinds: ['LoadIPAdapter'], stays: false, notes: [] }
const applied = { name: 'IPAdapter Advanced', new_kinds: ['IPAdapterWeightMap', 'ApplyIPAdapter'], stays: false, notes: [] }
const note = { text: 'its <1> is black', values: ['negative'] }

test('one node is named with what it is now', () => {
  assert.deepEqual(summaryOf([loader], nameOf), ['IPAdapter Model Loader is now Load IPAdapter.'])
})

test('several nodes are counted, and so are the new ones of a kind', () => {
  assert.deepEqual(summaryOf([loader, applied, applied], nameOf), [
    '3 old nodes are now 2 \u00d7 IPAdapter Weight Map, 2 \u00d7 Apply IPAdapter, Load IPAdapter.',
  ])
})

test('nodes that stay or differ for one reason share a line', () => {
  const stays = { ...applied, new_kinds: [], stays: true, notes: ['its output leaves the subgraph'] }
  const differs = { ...applied, notes: [note] }
  assert.deepEqual(summaryOf([stays, stays, loader, { ...stays, notes: [] }, differs], nameOf).slice(1), [
    '2 \u00d7 IPAdapter Advanced: not converted, since its output leaves the subgraph.',
    'IPAdapter Advanced: not converted.',
    'IPAdapter Advanced: its negative is black.',
  ])
})

test('a node that is removed is told by its note alone', () => {
  const removed = { name: 'IPAdapter Weights', new_kinds: [], stays: false, notes: ['its list is written into the node'] }
  assert.deepEqual(summaryOf([removed], nameOf), ['IPAdapter Weights: its list is written into the node.'])
})

test('long lists end in a count', () => {
  assert.equal(listed([...'abcdef', 'f']), '2 \u00d7 f, a, b, c, d, 1 more')
  assert.deepEqual(shortened([...'abcd']), [...'abcd'])
  assert.deepEqual(shortened([...'abcde']).slice(2), ['c', "2 more lines are in the browser's console (F12)."])
})

/** A node of a column @param {number | string} id @param {number} top @param {number} bottom @param {number} [left] */
const box = (id, top, bottom, left = 0) => ({ id, left, top, right: left + 100, bottom })

test('what is below a node that grew goes down as far, and nothing beside it', () => {
  const before = [box(1, 0, 100), box(2, 130, 200), box(3, 205, 300), box(4, 0, 300, 200)]
  const after = [box(1, 0, 180), ...before.slice(1)]
  assert.deepEqual([...shiftsDown(before, after)], [[1, 0], [4, 0], [2, 70], [3, 70]])
})

test('a new node folded up above another one makes both go down', () => {
  const before = [box(1, 0, 100), box(2, 110, 200)]
  const after = [...before, { ...box('new', 70, 100), right: 80 }]
  assert.deepEqual([...shiftsDown(before, after)], [[1, 0], [2, 40], ['new', 40]])
})

test('nodes that covered each other before do so as much afterwards, and no further', () => {
  const before = [box(1, 0, 100), box(2, 60, 160)]
  assert.deepEqual([...shiftsDown(before, [box(1, 0, 150), box(2, 60, 160)])], [[1, 0], [2, 50]])
})
