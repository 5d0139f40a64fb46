import assert from 'node:assert/strict'
import { readdirSync, readFileSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { BuildStage, Derivation } from '../../lib/engine/stage.ts'
import { readPartitionTable } from '../../lib/images/partitions.ts'
import { mount } from '../../stages/mount.ts'
import { buildContext, fakeInput } from '../helpers/context.ts'
import { MiB, missing, TestDisk } from '../helpers/disks.ts'

const skip = missing('sfdisk')
const run = (mount.stage as BuildStage).run

test('an image becomes table.json, the same bytes each time', { skip }, async (t) => {
  const disk = new TestDisk(8 * MiB, 'label: gpt\nstart=2048, size=2048, name="ä"\n')
  t.after(() => disk.remove())
  const texts: string[] = []
  for (let i = 0; i < 2; i++) {
    const context = await buildContext<{ image: Derivation }>({ image: fakeInput(disk.folder) })
    t.after(() => context.remove())
    await run(context)
    assert.deepEqual(readdirSync(context.out), ['table.json'])
    assert.deepEqual(context.record.warnings, [])
    texts.push(readFileSync(join(context.out, 'table.json'), 'utf8'))
  }
  assert.equal(texts[0], texts[1])
  assert.deepEqual(JSON.parse(texts[0]!), await readPartitionTable(disk.path))
})

test('a damaged GPT header is told to the user', { skip }, async (t) => {
  const disk = new TestDisk(8 * MiB, 'label: gpt\nstart=2048, size=2048\n')
  t.after(() => disk.remove())
  disk.edit((bytes) => void bytes.fill(0, 512, 1024))
  const context = await buildContext<{ image: Derivation }>({ image: fakeInput(disk.folder) })
  t.after(() => context.remove())
  await run(context)
  assert.match(context.record.warnings.join(), /first GPT header is damaged/)
})

test('an input that is no image is refused with what to give', { skip }, async (t) => {
  const disk = new TestDisk(MiB)
  t.after(() => disk.remove())
  unlinkSync(disk.path)
  const context = await buildContext<{ image: Derivation }>({ image: fakeInput(disk.folder) })
  t.after(() => context.remove())
  await assert.rejects(run(context), { code: 'E_INPUT', hint: /decompress/ })
})

test('options are checked by name', () => {
  assert.throws(() => mount({ image: 'disk.img' } as never), {
    code: 'E_OPTION',
    message: /`image` got "disk.img"/,
  })
  assert.throws(() => mount({} as never), { code: 'E_OPTION', message: /`image`/ })
})
