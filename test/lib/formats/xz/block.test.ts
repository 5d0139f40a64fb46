/** Whole blocks: their checks, put together and looked at again. Blocks to compare with come from `xz`. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { crc64 } from '../../../../lib/formats/crc64.ts'
import { recordOfBlock, wholeBlock } from '../../../../lib/formats/xz/block.ts'
import { parseBlockHeader } from '../../../../lib/formats/xz/block-header.ts'
import { type CheckId, checkNames, checkOf, checkSize } from '../../../../lib/formats/xz/check.ts'
import { readFileIndex } from '../../../../lib/formats/xz/file-index.ts'
import { encodeIndex } from '../../../../lib/formats/xz/index-field.ts'
import { streamFooter, streamHeader } from '../../../../lib/formats/xz/stream.ts'

function xz(args: readonly string[], input: Buffer): Buffer {
  const { status, stdout, stderr } = spawnSync('xz', ['-c', ...args], { input })
  assert.equal(status, 0, stderr.toString())
  return stdout
}

test('the CRC-64 of the format’s own example, in one go and in parts of any length', () => {
  assert.equal(crc64(Buffer.from('123456789')), 0x995dc9bbdf1939fan)
  const bytes = Buffer.from(Array.from({ length: 100 }, (_, i) => i * 37))
  for (let cut = 0; cut <= bytes.length; cut++) {
    assert.equal(crc64(bytes.subarray(cut), crc64(bytes.subarray(0, cut))), crc64(bytes))
  }
  assert.equal(crc64(Buffer.alloc(0)), 0n)
})

for (const [id, name] of Object.entries(checkNames)) {
  test(`a block with check ${name} is put together again, byte for byte as xz reads it`, async () => {
    const check = Number(id) as CheckId
    for (const size of [1, 7, 8, 9, 5000]) {
      const data = Buffer.alloc(size, 'some bytes of an image ')
      const file = xz(['-T1', `--check=${name}`], data)
      const { blocks } = await readFileIndex(
        async (at, length) => file.subarray(at, at + length),
        file.length,
      )
      const { offset, unpadded } = blocks[0]!
      const header = parseBlockHeader(file.subarray(offset), offset)
      const end = offset + unpadded - checkSize(check)
      const payload = file.subarray(offset + header.size, offset + unpadded - checkSize(check))
      const padded = Math.ceil(end / 4) * 4
      assert.deepEqual(checkOf(check, data), file.subarray(padded, padded + checkSize(check)))

      const block = wholeBlock({
        filters: header.filters,
        data: payload,
        uncompressedSize: size,
        check: checkOf(check, data),
      })
      const record = recordOfBlock(block, size, check)
      assert.ok(record)
      const index = encodeIndex([record])
      const made = Buffer.concat([streamHeader(check), block, index, streamFooter(check, index.length)])
      assert.deepEqual(xz(['-d'], made), data)
    }
  })
}

const block = wholeBlock({
  filters: { count: 1, bytes: Uint8Array.of(0x21, 1, 0x16) },
  data: Buffer.from([1, 0, 2, 65, 66, 67, 0]),
  uncompressedSize: 3,
  check: checkOf(4, Buffer.from('ABC')),
})
const others: { name: string; bytes: Buffer; uncompressed?: number; check?: CheckId }[] = [
  { name: 'nothing', bytes: Buffer.alloc(0) },
  { name: 'an index', bytes: Buffer.alloc(block.length) },
  { name: 'one cut off', bytes: block.subarray(0, -1) },
  { name: 'one cut off in its header', bytes: block.subarray(0, 7) },
  { name: 'one with something after it', bytes: Buffer.concat([block, Buffer.alloc(4)]) },
  { name: 'one of another size', bytes: block, uncompressed: 4 },
  { name: 'one with another check', bytes: block, check: 10 },
  {
    name: 'a flipped bit in its header',
    bytes: Buffer.from(block.map((byte, i) => (i === 4 ? byte ^ 1 : byte))),
  },
]
test('a whole block is told by what the index says of it', () => {
  assert.deepEqual(recordOfBlock(block, 3, 4), { unpadded: block.length - 1, uncompressed: 3 })
})
for (const { name, bytes, uncompressed = 3, check = 4 } of others) {
  test(`${name} is not the block that is looked for`, () => {
    assert.equal(recordOfBlock(bytes, uncompressed, check), undefined)
  })
}
