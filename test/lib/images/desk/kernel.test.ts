import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { FleetsieError } from '../../../../lib/errors.ts'
import { recordName } from '../../../../lib/images/desk/attachment.ts'
import { holdersOf } from '../../../../lib/images/desk/holders.ts'
import { deskState } from '../../../../lib/images/desk/state.ts'
import { missing, type TestDisk, tool } from '../../../helpers/disks.ts'
import { needsRoot } from '../../../helpers/needs.ts'
import { makeDisk, nobody, sha256, TestDesk } from './rig.ts'

const skip = needsRoot || missing('sfdisk', 'mkswap', 'mke2fs', 'mkfs.fat', 'mcopy', 'mount', 'losetup')

describe('a desk that root mounts', { skip }, () => {
  let disk: TestDisk
  before(() => {
    disk = makeDisk()
  })
  after(() => disk.remove())

  const withDesk = async (work: (desk: TestDesk) => Promise<void>, name?: string): Promise<void> => {
    const desk = new TestDesk(disk, name)
    try {
      await work(desk)
    } finally {
      desk.remove()
    }
  }
  const clean = async (desk: TestDesk): Promise<void> => {
    assert.deepEqual(desk.mounts(), [])
    assert.deepEqual(desk.loops(), [])
    assert.equal((await deskState(desk.folder)).is, 'unmounted')
    assert.deepEqual(
      readdirSync(desk.folder).filter((name) => !/^\.new_\d$/.test(name)),
      ['.desk', 'os.img'],
    )
    assert.deepEqual(readdirSync(desk.path('.desk')), [])
  }
  const failure = (code: string, pattern: RegExp) => (error: FleetsieError) => {
    assert.equal(error.code, code, error.message)
    assert.match(error.message, pattern)
    return true
  }

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
      assert.ok(
        lstatSync(desk.path('.new_2/etc/shadow')).isFile(),
        'a change of mode alone brings the whole file',
      )
      assert.deepEqual(
        ['BOOTFS', 'rootfs', 'data'].map((name) => readlinkSync(desk.path(name))),
        ['part_1', 'part_2', 'part_5'],
      )
      await assert.rejects(desk.attach(), failure('E_INPUT', /already mounted/))
      await desk.detach()
      await clean(desk)
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
        await clean(desk)
      }, name))
  }

  test('a folder that is moved while it is mounted stays mounted, and is unmounted where it is', () =>
    withDesk(async (desk) => {
      await desk.attach()
      const old = desk.folder
      desk.folder = join(desk.top, 'elsewhere')
      renameSync(old, desk.folder)
      assert.equal((await deskState(desk.folder)).is, 'mounted')
      await desk.detach()
      await clean(desk)
    }))

  test('an image that is deleted or replaced meanwhile can be unmounted', () =>
    withDesk(async (desk) => {
      await desk.attach()
      rmSync(desk.disk)
      assert.equal((await deskState(desk.folder)).is, 'mounted')
      writeFileSync(desk.disk, 'another')
      await desk.detach()
      await clean(desk)
    }))

  test('after a reboot the record is stale, and unmounting cleans up', () =>
    withDesk(async (desk) => {
      await desk.attach()
      const record = desk.read(recordName)
      await desk.detach()
      const boot = JSON.parse(record).boot
      writeFileSync(desk.path(recordName), record.replace(boot, boot.replace(/^./, 'x')))
      assert.equal((await deskState(desk.folder)).is, 'stale')
      await desk.detach()
      await clean(desk)
    }))

  test('a record of another boot never makes mounts of this one ours', () =>
    withDesk(async (desk) => {
      await desk.attach()
      const record = desk.read(recordName)
      const boot = JSON.parse(record).boot
      writeFileSync(desk.path(recordName), record.replace(boot, 'x'))
      await desk.detach()
      assert.equal(desk.mounts().length, 6)
      await assert.rejects(
        desk.attach(),
        failure('E_UNSAFE', /something is mounted at original\/part_1 already/),
      )
    }))

  test('what somebody unmounted by hand makes it stale, and what they mounted there stays', () =>
    withDesk(async (desk) => {
      await desk.attach()
      tool('umount', [desk.path('part_2')])
      assert.equal((await deskState(desk.folder)).is, 'stale')
      tool('mount', ['-t', 'tmpfs', 'theirs', desk.path('part_2')])
      assert.equal((await deskState(desk.folder)).is, 'stale')
      await desk.detach()
      assert.equal((await deskState(desk.folder)).is, 'unmounted')
      assert.deepEqual(
        desk.mounts().map((line) => line.split(' - ')[1]!.split(' ')[1]),
        ['theirs'],
      )
      assert.deepEqual(desk.loops(), [])
    }))

  test('a copy of a mounted folder is stale, and cleaning it leaves the mounted one alone', () =>
    withDesk(async (desk) => {
      await desk.attach()
      const copy = new TestDesk(disk)
      try {
        writeFileSync(copy.path(recordName), desk.read(recordName))
        assert.equal((await deskState(copy.folder)).is, 'stale')
        await copy.detach()
        await clean(copy)
        assert.equal((await deskState(desk.folder)).is, 'mounted')
        assert.equal(desk.mounts().length, 6)
      } finally {
        copy.remove()
      }
      await desk.detach()
    }))

  test('files in use refuse it before anything is unmounted, and name the processes', () =>
    withDesk(async (desk) => {
      await desk.attach()
      const inside = spawn('sleep', ['1000'], { cwd: desk.path('part_2/etc') })
      const holding = spawn('sh', ['-c', 'exec 3<part_1/etc/hostname; exec sleep 1001'], { cwd: desk.folder })
      try {
        const known = async (): Promise<number> =>
          (await holdersOf(desk.folder)).filter(({ command }) => /^sleep/.test(command)).length
        while ((await known()) < 2) await new Promise((resolve) => setImmediate(resolve))
        const expected = new RegExp(
          `${holding.pid} sleep 1001: .*/part_1/etc/hostname[^]*|${inside.pid} sleep 1000: .*/part_2/etc`,
        )
        await assert.rejects(desk.detach(), failure('E_UNSAFE', expected))
        assert.deepEqual(
          (await holdersOf(desk.folder)).map(({ pid }) => pid),
          [inside.pid!, holding.pid!].sort((a, b) => a - b),
        )
        assert.equal(desk.mounts().length, 6)
      } finally {
        for (const child of [inside, holding]) {
          const ended = new Promise((resolve) => child.once('close', resolve))
          child.kill('SIGKILL')
          await ended
        }
      }
      await desk.detach()
      await clean(desk)
    }))

  test('what is mounted inside is named, and stays', () =>
    withDesk(async (desk) => {
      await desk.attach()
      tool('mount', ['-t', 'tmpfs', 'theirs', desk.path('part_2/etc/deep')])
      await assert.rejects(desk.detach(), failure('E_UNSAFE', /mounted inside: part_2\/etc\/deep/))
      assert.equal(desk.mounts().length, 7)
      tool('umount', [desk.path('part_2/etc/deep')])
      await desk.detach()
      await clean(desk)
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
      await clean(desk)
    }))

  test('a folder that cannot keep changes is refused with a place to go', () =>
    withDesk(async (desk) => {
      mkdirSync(desk.path('a'))
      tool('mount', ['-t', 'ramfs', 'ramfs', desk.path('a')])
      const inner = new TestDesk(disk)
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

  test('a damaged record is removed when nothing is mounted, else it is left with the commands that help', () =>
    withDesk(async (desk) => {
      writeFileSync(desk.path(recordName), '{"format":1')
      assert.equal((await deskState(desk.folder)).is, 'stale')
      await desk.detach()
      await clean(desk)
      await desk.attach()
      const record = desk.read(recordName)
      writeFileSync(desk.path(recordName), record.replaceAll('"part_2"', '"../part_2"'))
      await assert.rejects(desk.detach(), (error: FleetsieError) => {
        assert.match(error.hint!, /umount '.*part_5'; /)
        return failure('E_DAMAGED', /record/)(error)
      })
      writeFileSync(desk.path(recordName), record)
      await desk.detach()
      await clean(desk)
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
      await assert.rejects(desk.attach(), failure('E_INPUT', /a file or a link is where a folder/))
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
      await desk.detach()
    }))
})
