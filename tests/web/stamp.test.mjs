import assert from 'node:assert/strict'
import { test } from 'node:test'

import { modelsOf, stamped, valuesOf } from '../../web/stamp_logic.js'

const a = { url: 'https://h/a', hash: '1', hash_type: 'SHA256', directory: 'ipadapter' }
const e = { url: 'https://h/e', hash: '2', hash_type: 'SHA256', directory: 'clip_vision' }
const stamps = {
  pack: { cnr_id: 'ip-adapter-nodes', ver: '1.2.3' },
  files: { 'a.safetensors': a, 'e.safetensors': e, 'sub/mine.safetensors': null, 'mine.safetensors': a },
  auto: { 'a.safetensors': 'e.safetensors', 'z.safetensors': 'sub/mine.safetensors' },
}

test('a known file is named as the widget has it, folders included', () => {
  assert.deepEqual(modelsOf(['a.safetensors', 5, null], stamps.files), [{ name: 'a.safetensors', ...a }])
  assert.deepEqual(modelsOf(['x/a.safetensors'], stamps.files), [{ name: 'x/a.safetensors', ...a }])
  assert.deepEqual(modelsOf(['x\\a.safetensors'], stamps.files), [{ name: 'x\\a.safetensors', ...a }])
  assert.deepEqual(modelsOf(['a.safetensors', 'a.safetensors'], stamps.files).length, 1)
})

test('an installed file that is not the published one gets no link, whatever its name', () => {
  assert.deepEqual(modelsOf(['sub/mine.safetensors'], stamps.files), [])
  assert.deepEqual(modelsOf(['sub\\mine.safetensors'], stamps.files), [])
})

test('names of objects are no files', () => {
  assert.deepEqual(modelsOf(['constructor', '__proto__', 'toString'], stamps.files), [])
})

test('a saved node has the id and version, and keeps its other properties', () => {
  assert.deepEqual(stamped({ 'Node name for S&R': 'x', cnr_id: 'other' }, stamps, []), {
    'Node name for S&R': 'x',
    ...stamps.pack,
  })
  assert.deepEqual(stamped(undefined, stamps, ['a.safetensors']), {
    ...stamps.pack,
    models: [{ name: 'a.safetensors', ...a }],
  })
})

test('links of others stay while the widget names their file, and go with it', () => {
  const foreign = { name: 'b.safetensors', url: 'https://h/b', directory: 'ipadapter' }
  const kept = stamped({ models: [foreign] }, stamps, ['b.safetensors', 'a.safetensors'])
  assert.deepEqual(kept.models, [{ name: 'a.safetensors', ...a }, foreign])
  assert.ok(!('models' in stamped({ models: [foreign] }, stamps, ['c.safetensors'])))
})

test('auto stands for the encoder of the adapter beside it', () => {
  const node = { widgets: [{ value: 'auto' }] }
  assert.deepEqual(valuesOf(node, stamps, 'a.safetensors'), ['auto', 'e.safetensors'])
  assert.deepEqual(valuesOf(node, stamps, undefined), ['auto'])
  assert.deepEqual(valuesOf(node, stamps, 'toString'), ['auto'])
  assert.deepEqual(valuesOf({ widgets: [{ value: 'x' }] }, stamps, 'a.safetensors'), ['x'])
  assert.deepEqual(valuesOf({}, stamps, 'a.safetensors'), [])
})
