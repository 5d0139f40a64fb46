import assert from 'node:assert/strict'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { describe, test } from 'node:test'
import type { FleetsieError } from '../../../../lib/errors.ts'
import { recordName } from '../../../../lib/images/desk/attachment.ts'
import { deskState } from '../../../../lib/images/desk/state.ts'
import { missing, tool } from '../../../helpers/disks.ts'
import { needsRoot } from '../../../helpers/needs.ts'
import { desks, failure, nobody, sha256 } from './rig.ts'

const skip = needsRoot || missing('sfdisk', 'mkswap', 'mke2fs', 'mkfs.fat', 'mcopy', 'mount', 'losetup')

describe('a desk that root mounts', { skip }, () => {
  const { another, withDesk } = desks()
  test('the image is never written, edits land in .new_N, and unmounting leaves nothing else', () =>
    withDesk(async (desk) => {
      const stock = sha256(desk.disk)
      const attachment = await desk.attach()
      assert.equal((await deskState(desk.folder)).is, 'mounted')
      assert.deepEqual(
        attachment.parts.map(({ number, filesystem }) => [number, filesystem]),
        [
          [1, 'vfat'],
          [2, 'ext4'],
          [5, 'ext2'],
        ],
      )
      assert.deepEqual(
        desk.notes.map((line) => line.slice(0, 26)),
        ['partition 4 is left out: n', 'partition 6 is left out: i'],
      )
      for (const number of [1, 2, 5]) {
        assert.equal(desk.read(`original/part_${number}/etc/hostname`), 'stock\n')
        assert.throws(() => writeFileSync(desk.path(`original/part_${number}/x`), ''), { code: 'EROFS' })
        assert.equal(desk.read(`merged/part_${number}/etc/hostname`), 'stock\n')
        writeFileSync(desk.path(`part_${number}/etc/hostname`), 'edited\n')
        rmSync(desk.path(`part_${number}/etc/deep`), { recursive: true })
        mkdirSync(desk.path(`part_${number}/etc/new`))
        assert.equal(desk.read(`.new_${number}/etc/hostname`), 'edited\n')
        const deletion = lstatSync(desk.path(`.new_${number}/etc/deep`))
        assert.ok(deletion.isCharacterDevice() && deletion.rdev === 0)
      }
      chmodSync(desk.path('part_2/etc/shadow'), 0o640)
      assert.equal(
        desk.read('.new_2/etc/shadow'),
        'root:*:\n',
        'a change of mode alone brings the whole file',
      )
      assert.throws(() => renameSync(desk.path('part_2/lost+found'), desk.path('part_2/moved')), {
        code: 'EXDEV',
      })
      assert.deepEqual(
        ['BOOTFS', 'rootfs', 'data'].map((name) => readlinkSync(desk.path(name))),
        ['part_1', 'part_2', 'part_5'],
      )
      await assert.rejects(desk.attach(), failure('E_INPUT', /already mounted/))
      await desk.detach()
      await desk.assertUnmounted()
      assert.equal(sha256(desk.disk), stock)
      await assert.rejects(desk.detach(), failure('E_INPUT', /not mounted/))

      await desk.attach()
      assert.equal(desk.read('part_2/etc/hostname'), 'edited\n')
      assert.equal(existsSync(desk.path('part_1/etc/deep')), false)
      await desk.detach()
    }))

  test('FAT keeps long names, times and content in the copy', () =>
    withDesk(async (desk) => {
      await desk.attach()
      assert.equal(desk.read('part_1/a long name, with ümläut.txt'), 'long\n')
      assert.ok(Math.abs(statSync(desk.path('part_1/etc/hostname')).mtimeMs - Date.now()) < 24 * 3600 * 1000)
      await desk.detach()
    }))

  for (const name of [
    'with space',
    'co:lon',
    'com,ma',
    'back\\slash',
    'new\nline',
    '-dash',
    `quo'te"`,
    'ünï',
    '#%?@@1',
  ]) {
    test(`a folder may be called ${JSON.stringify(name)}`, () =>
      withDesk(async (desk) => {
        await desk.attach()
        assert.equal((await deskState(desk.folder)).is, 'mounted')
        assert.equal(desk.mounts().length, 6)
        writeFileSync(desk.path('part_2/x'), 'x')
        assert.equal(desk.read('.new_2/x'), 'x')
        await desk.detach()
        await desk.assertUnmounted()
      }, name))
  }

  test('a filesystem that no stage will take is mounted with a warning', () =>
    withDesk(async (desk) => {
      tool('debugfs', ['-w', '-R', 'set_super_value state 0', `${desk.disk}?offset=${10240 * 512}`])
      await desk.attach()
      assert.match(
        desk.notes.join('\n'),
        /part_2 was not unmounted cleanly; `save` and `build` will refuse it/,
      )
      await desk.detach()
    }))

  test('a second call waits for nobody: it is refused while the first has the lock', () =>
    withDesk(async (desk) => {
      const holder = desk.start('hold')
      await new Promise((resolve) => holder.stdout.once('data', resolve))
      await assert.rejects(desk.attach(), failure('E_UNSAFE', /another process/))
      const ended = new Promise((resolve) => holder.once('close', resolve))
      holder.kill('SIGKILL')
      await ended
      await desk.attach()
      await desk.detach()
    }))

  test('a signal leaves nothing mounted', () =>
    withDesk(async (desk) => {
      const controller = new AbortController()
      const attached = desk.attach(controller.signal)
      const look = (): void => {
        if (desk.mounts().length >= 2) controller.abort()
        else setImmediate(look)
      }
      look()
      await assert.rejects(attached, failure('E_INTERRUPTED', /interrupted/))
      await desk.assertUnmounted()
    }))

  test('a folder that cannot keep changes is refused with a place to go', () =>
    withDesk(async (desk) => {
      mkdirSync(desk.path('a'))
      tool('mount', ['-t', 'ramfs', 'ramfs', desk.path('a')])
      const inner = another()
      try {
        inner.folder = desk.path('a')
        writeFileSync(inner.disk, readFileSync(desk.disk))
        await assert.rejects(inner.attach(), (error: FleetsieError) => {
          assert.match(error.message, /this folder is on ramfs/)
          assert.match(error.hint!, /ext4/)
          return failure('E_INPUT', /./)(error)
        })
      } finally {
        inner.remove()
      }
    }))

  test('a file or link where a mount point has to be, and files below one, are told', () =>
    withDesk(async (desk) => {
      mkdirSync(desk.path('part_2'))
      writeFileSync(desk.path('part_2/forgotten'), '')
      writeFileSync(desk.path('rootfs'), 'mine')
      await desk.attach()
      assert.ok(desk.notes.some((line) => /^part_2 holds files/.test(line)))
      assert.equal(desk.read('rootfs'), 'mine')
      await desk.detach()
      assert.ok(existsSync(desk.path('part_2/forgotten')))
      rmSync(desk.path('part_2'), { recursive: true })
      writeFileSync(desk.path('part_2'), '')
      await assert.rejects(desk.attach(), failure('E_UNSAFE', /a file or a link is where a folder/))
      assert.deepEqual(desk.mounts(), [])
    }))

  test('under sudo the folders and the record are the caller’s', () =>
    withDesk(async (desk) => {
      const env = { SUDO_UID: `${nobody}`, SUDO_GID: `${nobody}` }
      const { error } = await desk.drive('attach', [], env)
      assert.equal(error, undefined)
      for (const name of [recordName, '.desk', 'original', 'merged'])
        assert.equal(statSync(desk.path(name)).uid, nobody, name)
      assert.equal(statSync(desk.path('part_2')).uid, 0)
      for (const name of ['BOOTFS', 'merged/part_2'])
        assert.equal(lstatSync(desk.path(name)).uid, nobody, name)
      await desk.detach()
    }))
})
