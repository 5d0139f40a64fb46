/** A file written, hashed and synced at the same time. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { HashedFile } from '../../../lib/images/hashed-file.ts'

const folder = await mkdtemp(join(tmpdir(), 'fleetsie-hashed-'))
after(() => rm(folder, { recursive: true }))

const MiB = 1024 * 1024
/** More than is synced at once, of an odd size, each MiB of its own. */
const source = Buffer.alloc(41 * MiB + 12_345)
for (let at = 0; at < source.length; at += 512) source.writeUInt32LE(at, at)
const sourceFile = join(folder, 'source')
await writeFile(sourceFile, source)

test('what is written and copied stands in the file in order, under its sum', async () => {
  const path = join(folder, 'out')
  const from = await open(sourceFile)
  const out = await HashedFile.create(path)
  const parts: Buffer[] = []
  const copies = [
    [0, 0],
    [3, 5],
    [1000, 40 * MiB],
    [MiB, 2 * MiB],
    [source.length - 1, 1],
  ] as const
  for (const [offset, length] of copies) {
    const own = Buffer.from(`own bytes before ${offset}`)
    await out.write(own)
    await out.copy(from, offset, length)
    parts.push(own, source.subarray(offset, offset + length))
  }
  const result = await out.finish()
  await out.close()
  await from.close()
  const expected = Buffer.concat(parts)
  assert.ok((await readFile(path)).equals(expected))
  const sha256 = createHash('sha256').update(expected).digest('hex')
  assert.deepEqual(result, { sha256, size: expected.length })
})

test('a source that ends too early is damage', async () => {
  const from = await open(sourceFile)
  const out = await HashedFile.create(join(folder, 'short'))
  await assert.rejects(out.copy(from, source.length - 10, 11), { code: 'E_DAMAGED', message: /ends at byte/ })
  await out.close()
  await from.close()
})

test('a file that is there already is not overwritten', async () => {
  await assert.rejects(HashedFile.create(sourceFile), { code: 'EEXIST' })
})

test('a write that fails fails the file', async () => {
  const from = await open(sourceFile)
  const out = await HashedFile.create(join(folder, 'closed'))
  // A closed file takes no more, like a full disk.
  await out.close()
  await assert.rejects(
    out.copy(from, 0, source.length).then(() => out.finish()),
    { code: 'EBADF' },
  )
  await from.close()
})
