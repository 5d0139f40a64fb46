import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Spool } from '../../../../lib/images/compress/spool.ts'

const large = Buffer.alloc(20 * 1024 * 1024, 'a large block ')

test('blocks come back whole, from memory and from the disk', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'fleetsie-spool-'))
  t.after(() => rm(folder, { recursive: true }))
  const spool = new Spool(folder)
  const blocks = [large, large.subarray(1), large.subarray(2), Buffer.from('small')]
  const kept = await Promise.all(blocks.map((block) => spool.keep(block)))
  for (const [i, block] of kept.entries()) assert.ok((await block.read()).equals(blocks[i]!))
  await spool.close()
})

test('a spool without a place fails where a block is kept, not where all is tidied up', async () => {
  const spool = new Spool(join(tmpdir(), 'fleetsie-spool-none'))
  await spool.keep(large)
  await assert.rejects(spool.keep(large), { code: 'ENOENT' })
  await spool.close()
})
