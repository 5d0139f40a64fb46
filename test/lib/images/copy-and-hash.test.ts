import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, open, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { copyAndHash } from '../../../lib/images/copy-and-hash.ts'

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fleetsie-copy-'))
})
after(() => rm(folder, { recursive: true, force: true }))

test('copies bytes, keeps holes at the start, in the middle and at the end, and gives the sum', async () => {
  const from = join(folder, 'from')
  const to = join(folder, 'to')
  const size = 32 * 1024 * 1024 + 5
  const file = await open(from, 'w')
  await file.write(randomBytes(3_000_000), 0, 3_000_000, 5_000_001)
  await file.truncate(size)
  await file.close()
  const { signal } = new AbortController()

  const copied = await copyAndHash(from, to, signal)

  const bytes = await readFile(to)
  assert.ok(bytes.equals(await readFile(from)))
  assert.deepEqual(copied, { size, sha256: createHash('sha256').update(bytes).digest('hex') })
  assert.ok((await stat(to)).blocks * 512 < 8_000_000)
})

test('ends when it is interrupted', async () => {
  await assert.rejects(
    copyAndHash(join(folder, 'from'), join(folder, 'cut'), AbortSignal.abort(new Error('stop'))),
    /stop/,
  )
})
