/** Many pieces by one process: each becomes what it would become alone. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { runner } from '../../../lib/engine/process.ts'
import { recordOfBlock } from '../../../lib/formats/xz/block.ts'
import { contentOf, nameOf, type Part } from '../../../lib/images/compress/content.ts'
import { encodePieces, filterChain } from '../../../lib/images/encode-pieces.ts'

const MiB = 1024 * 1024
const KiB = 1024
const tmp = await mkdtemp(join(tmpdir(), 'fleetsie-encode-'))
after(() => rm(tmp, { recursive: true }))

const image = Buffer.alloc(3 * MiB + 512, 'bytes of an image ')
for (let at = 0; at < image.length - 64; at += 300) {
  image.write(createHash('sha256').update(`${at}`).digest('hex'), at, 'latin1')
}
image.fill(0, 2 * MiB, 2 * MiB + 128 * KiB)
const read = async (offset: number, length: number): Promise<Buffer> =>
  image.subarray(offset, offset + length)

const pieces = [
  [0, 64 * KiB],
  [64 * KiB, 64 * KiB],
  [100, 1],
  [640 * KiB, 64 * KiB],
  [2 * MiB, 64 * KiB],
  [3 * MiB - 4096, 4608],
] as const

async function contents(list: readonly (readonly [number, number])[]): Promise<Part[][]> {
  return Promise.all(list.map(([offset, length]) => contentOf({ offset, length, touched: true }, { read })))
}

for (const check of [0, 1, 4, 10] as const) {
  test(`with check ${check} a block does not depend on what else its process encodes`, async () => {
    const options = { read, check, run: runner({ home: tmp }), tmp }
    const chain = filterChain(64 * KiB)
    const together = await encodePieces(await contents(pieces), chain, options)
    const reversed = await encodePieces(await contents(pieces.toReversed()), chain, options)
    assert.deepEqual(reversed.toReversed(), together)
    for (const [i, piece] of pieces.entries()) {
      const [alone] = await encodePieces(await contents([piece]), chain, options)
      assert.deepEqual(alone, together[i])
      assert.ok(recordOfBlock(alone!, piece[1], check))
    }
    assert.deepEqual(await readdir(tmp), [])
  })
}

test('the dictionary is as large as a piece of its class can be', () => {
  const cases = [
    [1, 64 * KiB],
    [64 * KiB, 64 * KiB],
    [64 * KiB + 1, MiB],
    [MiB, MiB],
    [16 * MiB, 16 * MiB],
  ] as const
  for (const [length, dictionary] of cases) {
    assert.equal(filterChain(length), `--lzma2=preset=6,dict=${dictionary}`)
  }
})

test('what nothing touched is named by its chunks, and read only where they do not tell', async () => {
  const chunks = ['a'.repeat(64), null, 'c'.repeat(64), 'd'.repeat(64)]
  const reads: number[] = []
  const counting = async (offset: number, length: number): Promise<Buffer> => {
    reads.push(offset)
    return read(offset, length)
  }
  const name = async (offset: number, length: number, touched = false): Promise<string> => {
    return nameOf(await contentOf({ offset, length, touched }, { read: counting, chunks }))
  }
  const mib = `${MiB}`
  assert.equal(await name(0, 2 * MiB), `${mib} ${'a'.repeat(64)}, ${mib} zeros`)
  assert.equal(await name(MiB + 512, 1024), '1024 zeros')
  assert.equal(await name(100 * MiB, 512), '512 zeros')
  assert.deepEqual(reads, [])
  const part = createHash('sha256').update(image.subarray(0, 512)).digest('hex')
  assert.equal(await name(0, 512), `512 ${part}`)
  assert.match(await name(0, MiB, true), /^1048576 (?!aaaa)/)
  // The last chunk may be shorter than the image is now.
  assert.match(await name(3 * MiB, 512), /^512 (?!dddd)/)
  assert.deepEqual(reads, [0, 0, 3 * MiB])
})
