/** A user's folder, in which root works, leads root nowhere else. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { runner } from '../../../../lib/engine/process.ts'
import type { FleetsieError } from '../../../../lib/errors.ts'
import { readRecord, recordName } from '../../../../lib/images/desk/attachment.ts'
import { readBaseline } from '../../../../lib/images/desk/baseline.ts'
import { replaceLink } from '../../../../lib/images/desk/labels.ts'
import { withDeskLock } from '../../../../lib/images/desk/lock.ts'

let folder: string
let outside: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fleetsie-desk-'))
  outside = await mkdtemp(join(tmpdir(), 'fleetsie-outside-'))
})
afterEach(async () => {
  for (const path of [folder, outside]) await rm(path, { recursive: true, force: true })
})

describe('a verb does nothing at a desk', () => {
  const places = [
    '.desk',
    'original',
    'merged',
    'overlays',
    '.new_2',
    '.desk/work_2',
    '.desk/fat_1',
    '.desk/replaced',
    '.desk/lock',
    'original/part_2',
    'overlays/part_2',
  ]
  for (const place of places) {
    it(`of which ${place} is a link`, async () => {
      await mkdir(dirname(join(folder, place)), { recursive: true })
      await symlink(outside, join(folder, place))
      const work = withDeskLock(folder, async () => assert.fail('it works there'))
      await assert.rejects(work, (error: FleetsieError) => {
        assert.deepEqual([error.code, error.file], ['E_UNSAFE', join(folder, place)])
        return true
      })
      assert.deepEqual(await readdir(outside), [])
    })
  }

  it('of which .new_2 is a file', async () => {
    await writeFile(join(folder, '.new_2'), '')
    await assert.rejects(
      withDeskLock(folder, async () => {}),
      { code: 'E_UNSAFE' },
    )
  })

  it('of which the lock holds something', async () => {
    await mkdir(join(folder, '.desk'))
    await writeFile(join(folder, '.desk/lock'), 'mine')
    await assert.rejects(
      withDeskLock(folder, async () => {}),
      { code: 'E_UNSAFE', hint: 'move it away' },
    )
  })
})

it('a file or a folder in the place of a link is named', async () => {
  await mkdir(join(folder, 'folder'))
  await writeFile(join(folder, 'file'), 'mine')
  for (const file of [join(folder, 'folder'), join(folder, 'file')]) {
    await assert.rejects(replaceLink(file, 'x', undefined), { code: 'E_UNSAFE', file })
  }
})

it('links that belong to a desk are in nobody’s way', async () => {
  for (const name of ['my_work', 'rootfs', '.image']) await symlink('x', join(folder, name))
  assert.equal(await withDeskLock(folder, async () => 'done'), 'done')
})

describe('what a desk has noted leads to no other folder', () => {
  for (const place of ['merged', 'upper', 'original']) {
    it(`.mounted: ${place}`, async () => {
      const part = {
        number: 2,
        filesystem: 'ext4',
        original: 'original/part_2',
        upper: '.new_2',
        merged: 'part_2',
        whiteouts: 'device',
        owners: true,
      }
      const record = {
        format: 1,
        form: 'kernel',
        parts: [part],
        token: '0123456789abcdef',
        uid: 0,
        boot: '',
        disk: { device: 1, inode: 1 },
        mounts: [],
        links: [],
      }
      const write = (value: unknown) => writeFile(join(folder, recordName), JSON.stringify(value))
      await write(record)
      assert.equal((await readRecord(folder))?.parts.length, 1)
      await write({ ...record, parts: [{ ...part, [place]: '../part_2' }] })
      await assert.rejects(readRecord(folder), { code: 'E_DAMAGED' })
    })
  }

  const held = { body: { type: 'symlink', target: 'x' } }
  const upper = { stamp: '', lower: 0, sign: '' }
  for (const [what, change] of Object.entries({
    'a path of overlays/': { overlay: [['../../x', held]] },
    'where it lies': { overlay: [['x', { ...held, at: 'a/../../x' }]] },
    'a path of .new_N': { upper: [['..', upper]] },
    'a name that is left': { left: ['./x'] },
  })) {
    it(`the baseline: ${what}`, async () => {
      const desk = {
        folder,
        disk: '',
        run: runner({ home: folder }),
        caller: undefined,
        note() {},
        warn() {},
      }
      const baseline = {
        format: 1,
        stock: '',
        form: { whiteouts: 'device', owners: true },
        complete: true,
        at: 0,
        upper: [['..a/x..', upper]],
        overlay: [['..a/x', held]],
        left: [],
      }
      const write = (value: unknown) =>
        writeFile(join(folder, '.desk/baseline_2.json'), JSON.stringify(value))
      await mkdir(join(folder, '.desk'))
      await write(baseline)
      assert.equal((await readBaseline(desk, 2))?.overlay.size, 1)
      await write({ ...baseline, ...change })
      await assert.rejects(readBaseline(desk, 2), { code: 'E_DAMAGED' })
    })
  }
})
