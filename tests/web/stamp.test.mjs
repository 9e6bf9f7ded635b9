import assert from 'node:assert/strict'
import { test } from 'node:test'

import { MISSING, MISSING_ADAPTER, missingEncoder, missingFiles, modelsOf, stampedProperties, valuesOf } from '../../web/stamp_logic.js'

const a = { url: 'https://h/a', hash: '1', hash_type: 'SHA256', directory: 'ipadapter' }
const e = { url: 'https://h/e', hash: '2', hash_type: 'SHA256', directory: 'clip_vision' }
const stamps = {
  pack: { cnr_id: 'ip-adapter-nodes', ver: '1.2.3' },
  files: { 'a.safetensors': a, 'e.safetensors': e, 'sub/mine.safetensors': null, 'mine.safetensors': a },
  auto: {
    'a.safetensors': { name: 'e.safetensors', here: true },
    'b.safetensors': { name: 'f.safetensors', here: false },
    'z.safetensors': { name: null, here: true },
  },
  encoders: ['2'],
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
  assert.deepEqual(stampedProperties({ 'Node name for S&R': 'x', cnr_id: 'other' }, stamps, []), {
    'Node name for S&R': 'x',
    ...stamps.pack,
  })
  assert.deepEqual(stampedProperties(undefined, stamps, ['a.safetensors']), {
    ...stamps.pack,
    models: [{ name: 'a.safetensors', ...a }],
  })
})

test('links of others stay while the widget names their file, and go with it', () => {
  const foreign = { name: 'b.safetensors', url: 'https://h/b', directory: 'ipadapter' }
  const properties = stampedProperties({ models: [foreign] }, stamps, ['b.safetensors', 'a.safetensors'])
  assert.deepEqual(properties.models, [{ name: 'a.safetensors', ...a }, foreign])
  assert.ok(!('models' in stampedProperties({ models: [foreign] }, stamps, ['c.safetensors'])))
})

test('auto stands for the published encoder of the adapter beside it', () => {
  const node = { widgets: [{ value: 'auto' }, { name: MISSING, value: 'old.safetensors' }] }
  assert.deepEqual(valuesOf(node, stamps, 'a.safetensors'), ['auto', 'e.safetensors'])
  assert.deepEqual(valuesOf(node, stamps, 'other folder\\a.safetensors'), ['auto', 'e.safetensors'])
  for (const adapter of ['z.safetensors', undefined, 'toString']) {
    assert.deepEqual(valuesOf(node, stamps, adapter), ['auto'])
  }
  assert.deepEqual(valuesOf({ widgets: [{ value: 'x' }] }, stamps, 'a.safetensors'), ['x'])
  assert.deepEqual(valuesOf({}, stamps, 'a.safetensors'), [])
})

test('auto misses what its adapter needs and what is not here by any name', () => {
  const node = { widgets: [{ value: 'auto' }] }
  assert.equal(missingEncoder(node, stamps, 'b.safetensors'), 'f.safetensors')
  assert.equal(missingEncoder(node, stamps, 'x/b.safetensors'), 'f.safetensors')
  assert.equal(missingEncoder({ widgets: [{ value: 'f.safetensors' }] }, stamps, 'b.safetensors'), undefined)
  for (const adapter of ['a.safetensors', 'z.safetensors', 'unknown.bin', undefined]) {
    assert.equal(missingEncoder(node, stamps, adapter), undefined)
  }
})

test('of an adapter that nobody here knows the graph itself says what it needs, and goes on saying it', () => {
  const saying = (hash) => ({ widgets: [{ value: 'auto' }], properties: { models: [{ ...e, name: 'g.safetensors', hash }] } })
  assert.equal(missingEncoder(saying('9'), stamps, 'unknown.bin'), 'g.safetensors')
  assert.equal(missingEncoder(saying('2'), stamps, 'unknown.bin'), undefined)
  const values = valuesOf(saying('9'), stamps, 'unknown.bin')
  assert.deepEqual(values, ['auto', 'g.safetensors'])
  assert.equal(stampedProperties(saying('9').properties, stamps, values).models[0].name, 'g.safetensors')
})

test('a node that finds its files misses what its graph names only where there is no adapter', () => {
  const models = [
    { name: 'a.safetensors', directory: 'ipadapter' },
    { name: 'f.safetensors', directory: 'clip_vision', hash: 'f' },
  ]
  const node = { comfyClass: 'ImagePrompt', properties: { models }, widgets: [{ value: 'style' }] }
  const missing = (facts) => missingFiles(node, { ...stamps, encoders: [], ...facts }, undefined)
  assert.deepEqual(missing({ has_adapter: false }), { [MISSING_ADAPTER]: 'a.safetensors', [MISSING]: 'f.safetensors' })
  assert.deepEqual(missing({ has_adapter: false, encoders: ['f'] })[MISSING], undefined)
  assert.deepEqual(missing({ has_adapter: true }), { [MISSING_ADAPTER]: undefined, [MISSING]: undefined })
  assert.deepEqual(valuesOf(node, stamps, undefined), ['style', 'a.safetensors', 'f.safetensors'])
  assert.deepEqual(missingFiles({ comfyClass: 'FaceCrop' }, stamps, undefined), {})
})
