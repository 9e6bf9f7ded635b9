import assert from 'node:assert/strict'
import { test } from 'node:test'

import { fullNodes, isCurrent } from '../../web/image_prompt_logic.js'

const PLAN = {
  loader: { ipadapter_file: 'a.bin' },
  apply: { task: 'style', weight: 1.4, start_at: 0, end_at: 1 },
  needs_encoder: true,
  made_for: { task: 'style', strength: 'strong' },
}

test('a plan is current as long as the words of the node are those of its run', () => {
  const words = { task: 'style', strength: 'strong', weight: 0.2 }
  assert.ok(isCurrent(PLAN, (name) => words[name]))
  assert.ok(isCurrent(PLAN, (name) => (name === 'task' ? undefined : words[name]))) // linked
  assert.ok(!isCurrent(PLAN, (name) => (name === 'task' ? 'face' : words[name])))
  assert.ok(!isCurrent(undefined, (name) => words[name]))
})

test('an adapter of face identities alone gets no encoder', () => {
  const types = (plan) => fullNodes(plan).map(({ type }) => type)
  assert.deepEqual(types(PLAN), ['LoadIPAdapter', 'LoadCLIPVision', 'ApplyIPAdapter'])
  assert.deepEqual(types({ ...PLAN, needs_encoder: false }), ['LoadIPAdapter', 'ApplyIPAdapter'])
  assert.deepEqual(fullNodes(PLAN).at(-1).widgets, PLAN.apply)
})
