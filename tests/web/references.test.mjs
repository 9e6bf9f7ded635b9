import assert from 'node:assert/strict'
import { test } from 'node:test'

import { freeInput, picturesOf } from '../../web/references_logic.js'

test('of what is dropped the pictures count', () => {
  const [picture, text] = [{ type: 'image/png' }, { type: 'application/json' }]
  assert.deepEqual(picturesOf({ files: [text, picture] }), [picture])
  assert.deepEqual(picturesOf(null), [])
})

test('a picture goes to the first image input without a link', () => {
  const inputs = [{ name: 'ipadapter' }, { name: 'images.image0', link: 3 }, { name: 'images.image1', link: null }]
  assert.equal(freeInput(inputs), 2)
  assert.equal(freeInput(inputs.slice(0, 2)), -1)
})
