import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compareBytes, type Json, sortedJson } from '../../../lib/formats/json.ts'

test('equal values are equal bytes, whatever the order of their members', () => {
  assert.equal(sortedJson({ b: 1, a: { d: [], c: null } }), sortedJson({ a: { c: null, d: [] }, b: 1 }))
  assert.equal(sortedJson({ b: 1, a: undefined }), '{\n  "b": 1\n}\n')
})

test('sorts by code point, not by UTF-16 unit and not as a locale would', () => {
  assert.deepEqual(['\u{10000}', '\uffff', 'ä', 'b', 'B'].sort(compareBytes), [
    'B',
    'b',
    'ä',
    '\uffff',
    '\u{10000}',
  ])
})

test('refuses numbers that have several spellings, and a value that holds itself', () => {
  for (const value of [0.1, Number.NaN, 2 ** 53]) assert.throws(() => sortedJson([value]), { code: 'E_BUG' })
  const endless: Json[] = []
  endless.push(endless)
  assert.throws(() => sortedJson(endless), { code: 'E_BUG' })
})
