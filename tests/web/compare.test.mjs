import assert from 'node:assert/strict'
import { test } from 'node:test'

import { earlierGrid } from '../../web/compare_logic.js'

const PROMPT = {
  1: { class_type: 'CheckpointLoaderSimple', inputs: { ckpt_name: 'a' } },
  3: { class_type: 'CompareImagePrompts', inputs: { model: ['1', 0], seed: 1 } },
  4: { class_type: 'Other', inputs: { seed: 5 } },
}
const GRID = { images: [{ filename: 'grid.png' }] }

/** @param {Record<string, any>} prompt @param {Record<string, any>} outputs */
const run = (prompt, outputs) => ({
  prompt: [0, 'a run', prompt],
  outputs,
  meta: Object.fromEntries(Object.keys(outputs).map((key) => [key, { display_node: key.split('.')[0] }])),
})
const CHILDREN = { '3.0.1': { images: [{ filename: 'reference.png' }] }, '3.0.9': GRID }

test('of the nodes in the place of a comparison the last one shows the grid', () => {
  const expected = { node: '3.0.9', display_node: '3', output: GRID, prompt_id: 'a run' }
  assert.deepEqual(earlierGrid([run(PROMPT, CHILDREN)], PROMPT, '3'), expected)
})

test('a run counts if the comparison had the same inputs, and its sources too', () => {
  const changed = (/** @type {number} */ id, /** @type {any} */ inputs) => ({ ...PROMPT, [id]: { ...PROMPT[id], inputs } })
  const runs = [run(PROMPT, CHILDREN)]
  assert.equal(earlierGrid(runs, changed(3, { model: ['1', 0], seed: 2 }), '3'), undefined)
  assert.equal(earlierGrid(runs, changed(1, { ckpt_name: 'b' }), '3'), undefined)
  assert.equal(earlierGrid(runs, changed(4, { seed: 6 }), '3').node, '3.0.9')
  assert.equal(earlierGrid(runs, changed(3, { seed: 1, model: ['1', 0] }), '3').node, '3.0.9')
})

test('the latest run counts, and of those without a grid the one before', () => {
  const later = run(PROMPT, { '3.1.9': GRID })
  const cached = run(PROMPT, { 4: {} })
  assert.equal(earlierGrid([run(PROMPT, CHILDREN), later, cached], PROMPT, '3').node, '3.1.9')
  assert.equal(earlierGrid([cached, {}], PROMPT, '3'), undefined)
})
