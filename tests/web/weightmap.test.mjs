import assert from 'node:assert/strict'
import { test } from 'node:test'

import * as logic from '../../web/weightmap_logic.js'
import { barsCrossed, heightOf, hitBar, hitKey, rangeOf, ticksOf, valueOf } from '../../web/weightmap_panel_logic.js'

const RANGE = { low: 0, high: 2 }

test('an empty text is 1 for every block, of either family', () => {
  assert.deepEqual(logic.parseLayers(' \n', 11), { kind: 'none', values: Array(11).fill(1) })
  assert.equal(logic.parseLayers('', 16).values.length, 16)
})

test('a list gives its own number of bars, some blocks by number leave the others 0', () => {
  assert.deepEqual(logic.parseLayers('1, .5; 2e-1\n-1').values, [1, 0.5, 0.2, -1])
  const byName = logic.parseLayers('middle:0, rest:1, Input  8: 0.5', 11).values
  assert.deepEqual(byName, [1, 1, 1, 0.5, 0, 1, 1, 1, 1, 1, 1])
  assert.ok(logic.parseLayers('output 11:1', 11).error)
  const { kind, values } = logic.parseLayers('3:1, 6: 0.5', 11)
  assert.equal(kind, 'some')
  assert.deepEqual(values, [0, 0, 0, 1, 0, 0, 0.5, 0, 0, 0, 0])
})

for (const text of ['1, x', '1,, 1', '3:x', 'a:1', '-1:1', '0x10', ',', '1:2:3', '99999:1']) {
  test(`'${text}' gives no bars but a reason`, () => {
    const { kind, values, error } = logic.parseLayers(text)
    assert.deepEqual([kind, values], ['error', []])
    assert.match(error, /^layers: no/)
  })
}

test('one bar changes one number; all others stay as they were typed', () => {
  assert.equal(logic.withBar('1.0000,\n 0.333333; 1', 0, 0.25), '0.25,\n 0.333333; 1')
  assert.equal(logic.withBar('', 1, 0.5, 3), '1, 0.5, 1')
  assert.equal(logic.withBar('3:1, 6:0.5', 6, 0.1), '3:1, 6:0.1')
  assert.equal(logic.withBar('middle:0, rest:1', 6, 0.1), 'middle:0.1, rest:1')
  assert.equal(logic.withBar('middle:0, rest:1', 2, 0.1), 'middle:0, rest:1, 2:0.1')
  assert.equal(logic.withBar('3:1', 7, 0.3), '3:1, 7:0.3')
  assert.equal(logic.withBar('3:1, 3:0.5', 3, 0), '3:1, 3:0')
})

test('keyframes have a time, a value and a way to be reached', () => {
  assert.deepEqual(logic.parseCurve('0:1.0, 0.4:0.6  ease   in,\n 1:0').keys, [
    { time: 0, value: 1, easing: 'linear' },
    { time: 0.4, value: 0.6, easing: 'ease in' },
    { time: 1, value: 0, easing: 'linear' },
  ])
  assert.deepEqual(logic.parseCurve('  '), { keys: [] })
})

for (const text of ['0', '0:1, x:1', '0:1 slowly', '0.5:1, 0.4:1', '1.1:0', '-0.1:0', '0:1,,1:1']) {
  test(`'${text}' gives no keyframes but a reason`, () => {
    const { keys, error } = logic.parseCurve(text)
    assert.deepEqual(keys, [])
    assert.match(error, /entry \d/)
  })
}

test('a moved keyframe stays between its neighbours', () => {
  const text = '0:1, 0.5:0.5 hold, 1:0'
  assert.equal(logic.withKey(text, 1, { time: 1.7, value: 0.333 }), '0:1, 1:0.33 hold, 1:0')
  assert.equal(logic.withKey(text, 0, { time: -3 }), '0:1, 0.5:0.5 hold, 1:0')
  assert.equal(logic.withKey('0:1.000,0.5:1', 1, { easing: 'ease' }), '0:1.000,0.5:1 ease')
})

test('a new keyframe in an empty curve keeps 1 at both ends', () => {
  assert.deepEqual(logic.withNewKey('', 0.4, 0.5), { text: '0:1, 0.4:0.5, 1:1', place: 1 })
  assert.deepEqual(logic.withNewKey('0:1, 0.5:0 ease', 0.7, 1), { text: '0:1, 0.5:0 ease, 0.7:1', place: 2 })
  assert.equal(logic.withoutKey('0:1, 0.4:0.5 ease, 1:1', 1), '0:1, 1:1')
})

test('the panel grows with what is typed', () => {
  assert.deepEqual(rangeOf([1, 0.5]), RANGE)
  assert.deepEqual(rangeOf([-0.5, 3.2]), { low: -1, high: 4 })
  assert.equal(heightOf(0.5, RANGE), 0.25)
  assert.equal(valueOf(0.75, RANGE), 0.5)
  assert.deepEqual([-1, 2].map((y) => valueOf(y, RANGE)), [2, 0])
})

test('a place is over one bar, at the borders too', () => {
  assert.deepEqual([-0.1, 0, 0.249, 0.25, 0.999, 1, 1.5].map((x) => hitBar(x, 4)), [0, 0, 0, 1, 3, 3, 3])
})

test('a fast stroke leaves no bar out, in either direction', () => {
  assert.deepEqual(barsCrossed({ x: 0.1, y: 0 }, { x: 0.9, y: 1 }, 5), [[1, 0.25], [2, 0.5], [3, 0.75], [4, 1]])
  assert.deepEqual(barsCrossed({ x: 0.9, y: 0.2 }, { x: 0.5, y: 0.6 }, 5), [[3, 0.4], [2, 0.6]])
  assert.deepEqual(barsCrossed({ x: 0.5, y: 0.2 }, { x: 0.55, y: 0.9 }, 5), [[2, 0.9]])
})

test('a place is over the nearest keyframe in reach, the later of two at one place, or over none', () => {
  const { keys } = logic.parseCurve('0:1, 0.5:1, 0.5:1, 1:0')
  const reach = { x: 0.05, y: 0.1 }
  assert.equal(hitKey(keys, { x: 0.52, y: 0.52 }, RANGE, reach), 2)
  assert.equal(hitKey(keys, { x: 0.02, y: 0.45 }, RANGE, reach), 0)
  assert.equal(hitKey(keys, { x: 0.3, y: 0.5 }, RANGE, reach), -1)
})

test('keys change a bar and stop at the panel', () => {
  const pressed = (key, value, shiftKey = false) => logic.barKey({ key, shiftKey }, value, RANGE)
  assert.deepEqual(
    [pressed('ArrowUp', 1), pressed('ArrowDown', 1, true), pressed('Home', 1), pressed('End', 1), pressed('Delete', 1)],
    [1.05, 0.75, 0, 2, 0],
  )
  assert.deepEqual([pressed('ArrowUp', 2), pressed('ArrowDown', 0.02)], [2, 0])
  assert.equal(pressed('a', 1), null)
  assert.equal(pressed('Tab', 1), null)
})

test('keys move, add, remove and ease a keyframe', () => {
  const text = '0:1, 0.4:0.6, 1:0'
  const pressed = (key, shiftKey = false) => logic.pointKey({ key, shiftKey }, text, 1, RANGE)
  assert.equal(pressed('ArrowRight').text, '0:1, 0.41:0.6, 1:0')
  assert.equal(pressed('ArrowLeft', true).text, '0:1, 0.3:0.6, 1:0')
  assert.equal(pressed('ArrowUp').text, '0:1, 0.4:0.65, 1:0')
  assert.equal(pressed(' ').text, '0:1, 0.4:0.6 ease, 1:0')
  assert.deepEqual(pressed('Delete'), { text: '0:1, 1:0', place: 0 })
  assert.deepEqual(pressed('Enter'), { text: '0:1, 0.4:0.6, 0.7:0.3, 1:0', place: 2 })
  assert.equal(pressed('x'), null)
})

test('every preset is a text that can be read, for both families', () => {
  for (const count of Object.values(logic.FAMILIES)) {
    for (const preset of Object.values(logic.LAYER_PRESETS)) {
      assert.equal(logic.parseLayers(preset(count), count).values.length, count)
    }
  }
  for (const text of Object.values(logic.CURVE_PRESETS)) assert.equal(logic.parseCurve(text).error, undefined)
  assert.equal(logic.LAYER_PRESETS['middle block'](11), '0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0')
})

test('blocks have the names that the picture of the map has', () => {
  assert.deepEqual([0, 5, 6, 7, 15].map((n) => logic.blockName(16, n)), ['input 1', 'input 8', 'middle', 'output 3', 'output 11'])
  assert.deepEqual([0, 4, 10].map((n) => logic.blockName(11, n)), ['input 4', 'middle', 'output 5'])
  assert.equal(logic.blockName(7, 2), 'block 2')
})

test('a text that is a preset is known by its name', () => {
  assert.equal(logic.presetOf(logic.CURVE_PRESETS, ' 0:1, 1:0 ease\n'), 'fading out')
  assert.equal(logic.presetOf(logic.CURVE_PRESETS, ''), 'throughout')
  assert.equal(logic.presetOf(logic.CURVE_PRESETS, '0:1, 1:0.1'), '')
})

test('an axis has the ends of the panel, 0 and 1', () => {
  assert.deepEqual(ticksOf(RANGE), [2, 1, 0])
  assert.deepEqual(ticksOf({ low: -1, high: 4 }), [4, 1, 0, -1])
  assert.deepEqual(ticksOf({ low: 0, high: 1e6 }), [1e6, 0])
  assert.deepEqual(ticksOf({ low: 0, high: 10 }), [10, 0])
})

test('a list that fits no model, or not that of the last run, and a very large factor are odd', () => {
  const odd = (text, curve = '', blocks) =>
    logic.oddity(logic.parseLayers(text, blocks), logic.parseCurve(curve).keys, blocks)
  const ones = (count) => Array(count).fill(1).join(', ')
  for (const count of [16, 11, 57, 38]) assert.equal(odd(ones(count)), '')
  for (const count of [2, 3, 60]) assert.match(odd(ones(count)), new RegExp(`^layers: ${count} numbers; SD1.5 has 16`))
  assert.match(odd(ones(16), '', 11), /^layers: 16 numbers, but the model of the last run has 11 blocks$/)
  assert.equal(odd(ones(7), '', 7), '')
  assert.equal(odd('3:1, rest:0.5', '0:1, 1:-2'), '')
  assert.match(odd('3:1000000'), /^1000000 is a very large factor/)
  assert.match(odd('', '0:1, 1:50'), /^50 is a very large factor/)
})
