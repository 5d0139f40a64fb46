/** Contents of files in a volume: pieces of any length, with holes, against bytes that come in other pieces. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Volume } from '../../../lib/images/volume.ts'
import { ContentComparer, contentOf, sameContent } from '../../../lib/images/volume-content.ts'

/** One file of `size` bytes whose pieces are those; the rest is holes. */
function fileOf(size: number, pieces: Record<number, string>): Volume {
  const read = function* () {
    for (const [at, text] of Object.entries(pieces)) yield { at: Number(at), bytes: Buffer.from(text) }
  }
  return { node: () => ({ size }), pieces: read } as unknown as Volume
}
const holed = fileOf(12, { 2: 'ab', 4: 'cd', 9: 'e' })
const whole = Buffer.from('\0\0abcd\0\0\0e\0\0')

test('what is between pieces and behind them is zeros', () => {
  assert.deepEqual(Buffer.concat([...contentOf(holed, 1)]), whole)
})

for (const step of [1, 3, 5, 12]) {
  test(`bytes that come by ${step} are the same, and one that differs is found wherever it is`, () => {
    const comes = (bytes: Buffer): boolean => {
      const comparer = new ContentComparer(holed, 1)
      for (let at = 0; at < bytes.length; at += step) {
        if (!comparer.update(bytes.subarray(at, at + step))) return false
      }
      return comparer.same()
    }
    assert.equal(comes(whole), true)
    for (let at = 0; at < whole.length; at++) {
      const other = Buffer.from(whole)
      other[at]! ^= 1
      assert.equal(comes(other), false, `byte ${at}`)
    }
    assert.equal(comes(whole.subarray(0, 11)), false, 'shorter')
    assert.equal(comes(Buffer.concat([whole, Buffer.alloc(1)])), false, 'longer')
  })
}

test('two files are the same however they are cut', () => {
  assert.equal(sameContent(holed, 1, fileOf(12, { 0: '\0\0abc', 5: 'd\0\0', 9: 'e\0\0' }), 1), true)
  assert.equal(sameContent(holed, 1, fileOf(12, { 0: '\0\0abc', 5: 'd\0\0', 9: 'e\0x' }), 1), false)
  assert.equal(sameContent(holed, 1, fileOf(13, { 2: 'abcd', 9: 'e' }), 1), false)
  assert.equal(sameContent(fileOf(0, {}), 1, fileOf(0, {}), 1), true)
})
