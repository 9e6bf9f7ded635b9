import assert from 'node:assert/strict'
import { test } from 'node:test'

import * as logic from '../../web/box_logic.js'

const PICTURE = { width: 100, height: 60 }
const BOX = { x: 20, y: 10, width: 40, height: 30 }

test('a text is a box, no box, or wrong', () => {
  assert.deepEqual(logic.parseBox(' 1, 2;3\n4 ').box, { x: 1, y: 2, width: 3, height: 4 })
  assert.equal(logic.parseBox(' \n'), null)
  for (const text of ['1, 2, 3', '1, 2, 3, 4, 5', '1, 2, 0, 4', '1, 2, 3, x', '1, 2, 3.5, 4', ',']) {
    assert.match(logic.parseBox(text).error, /x, y, width, height/)
  }
})

test('a box as text is read back', () => {
  assert.equal(logic.boxText(BOX), '20, 10, 40, 30')
  assert.deepEqual(logic.parseBox(logic.boxText(BOX)).box, BOX)
  assert.equal(logic.boxText(null), '')
})

test('a picture stands whole in the middle of its area', () => {
  const place = logic.layout(PICTURE, { width: 400, height: 120 })
  assert.deepEqual(place, { left: 100, top: 0, scale: 2 })
  assert.deepEqual(logic.toPicture({ x: 140, y: 30 }, place), { x: 20, y: 15 })
  assert.deepEqual(logic.layout({ width: 10, height: 40 }, { width: 40, height: 20 }), { left: 17.5, top: 0, scale: 0.5 })
})

test('corners and edges are in reach from both sides, the rest moves or begins anew', () => {
  const at = (x, y) => logic.partAt(BOX, { x, y }, 3)
  assert.deepEqual([at(20, 10), at(62, 8), at(18, 41), at(58, 38)], ['nw', 'ne', 'sw', 'se'])
  assert.deepEqual([at(40, 8), at(40, 41), at(21, 25), at(61, 25)], ['n', 's', 'w', 'e'])
  assert.deepEqual([at(40, 25), at(70, 25), at(40, 50)], ['move', 'new', 'new'])
  assert.equal(logic.partAt(null, { x: 1, y: 1 }, 3), 'new')
})

test('a new box spans the drag in any direction and is never empty', () => {
  const drawnBox = (from, to) => logic.boxText(logic.dragBox('new', null, from, to, PICTURE))
  assert.equal(drawnBox({ x: 60.4, y: 40 }, { x: 20, y: 9.6 }), '20, 10, 40, 30')
  assert.equal(drawnBox({ x: 50, y: 50 }, { x: 50, y: 50 }), '50, 50, 1, 1')
  assert.equal(drawnBox({ x: -20, y: -5 }, { x: 500, y: 500 }), '0, 0, 100, 60')
  assert.equal(drawnBox({ x: 100, y: 60 }, { x: 100, y: 60 }), '99, 59, 1, 1')
})

test('a moved box stays in the picture and keeps its size', () => {
  const movedBox = (x, y) => logic.boxText(logic.dragBox('move', BOX, { x: 0, y: 0 }, { x, y }, PICTURE))
  assert.equal(movedBox(5, -3), '25, 7, 40, 30')
  assert.equal(movedBox(500, 500), '60, 30, 40, 30')
  assert.equal(movedBox(-500, -500), '0, 0, 40, 30')
})

test('a typed box that reaches past the picture is not pulled in by a move along the other axis', () => {
  const outside = { x: -10, y: 10, width: 40, height: 30 }
  const movedBox = logic.dragBox('move', outside, { x: 0, y: 0 }, { x: 0, y: 5 }, PICTURE)
  assert.equal(logic.boxText(movedBox), '-10, 15, 40, 30')
})

test('an edge moves alone, a corner with both, and past the other side they swap', () => {
  const resizedBox = (part, x, y) => logic.boxText(logic.dragBox(part, BOX, { x: 0, y: 0 }, { x, y }, PICTURE))
  assert.equal(resizedBox('e', 10, 99), '20, 10, 50, 30')
  assert.equal(resizedBox('n', 99, 5), '20, 15, 40, 25')
  assert.equal(resizedBox('nw', 5, 5), '25, 15, 35, 25')
  assert.equal(resizedBox('w', 50, 0), '60, 10, 10, 30')
})

test('keys move and resize by one pixel or ten, Delete removes', () => {
  const afterKey = (part, key, shiftKey = false) => logic.boxAfterKey({ key, shiftKey }, part, BOX, PICTURE)
  assert.equal(logic.boxText(afterKey('move', 'ArrowRight')), '21, 10, 40, 30')
  assert.equal(logic.boxText(afterKey('move', 'ArrowUp', true)), '20, 0, 40, 30')
  assert.equal(logic.boxText(afterKey('nw', 'ArrowLeft')), '19, 10, 41, 30')
  assert.equal(logic.boxText(afterKey('se', 'ArrowDown', true)), '20, 10, 40, 40')
  assert.equal(afterKey('move', 'Delete'), null)
  assert.equal(afterKey('move', 'x'), undefined)
})

test('a box made without a pointer is the middle half', () => {
  assert.equal(logic.boxText(logic.middleBox({ width: 101, height: 60 })), '25, 15, 51, 30')
})

test('the name that a node holds is found by the host', () => {
  assert.deepEqual(logic.fileOf('a b.png'), { filename: 'a b.png', subfolder: '', type: 'input' })
  assert.deepEqual(logic.fileOf('x/y\\c [1].png [output]'), { filename: 'c [1].png', subfolder: 'x/y', type: 'output' })
})
