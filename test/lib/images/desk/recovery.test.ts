import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readlinkSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { FleetsieError } from '../../../../lib/errors.ts'
import { recordName } from '../../../../lib/images/desk/attachment.ts'
import { holdersOf } from '../../../../lib/images/desk/holders.ts'
import { deskState } from '../../../../lib/images/desk/state.ts'
import { missing, tool } from '../../../helpers/disks.ts'
import { needsRoot } from '../../../helpers/needs.ts'
import { isAlive } from '../../../helpers/processes.ts'
import { desks, failure } from './rig.ts'

const skip = needsRoot || missing('sfdisk', 'mkswap', 'mke2fs', 'mkfs.fat', 'mcopy', 'mount', 'losetup')

describe('what is left of a mount, and what stands in its way', { skip }, () => {
  const { another, withDesk } = desks()
  test('a folder that is moved while it is mounted stays mounted, and is unmounted where it is', () =>
    withDesk(async (desk) => {
      await desk.attach()
      const old = desk.folder
      desk.folder = join(desk.top, 'elsewhere')
      renameSync(old, desk.folder)
      assert.equal((await deskState(desk.folder)).is, 'mounted')
      await desk.detach()
      await desk.assertUnmounted()
    }))

  test('an image that is deleted or replaced meanwhile can be unmounted', () =>
    withDesk(async (desk) => {
      await desk.attach()
      rmSync(desk.disk)
      assert.equal((await deskState(desk.folder)).is, 'mounted')
      writeFileSync(desk.disk, 'another')
      await desk.detach()
      await desk.assertUnmounted()
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
      await desk.assertUnmounted()
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
      assert.deepEqual(await desk.stuckLoops(), [])
    }))

  test('a mount program that outlived its caller is ended; that of a copy of the folder is not', () =>
    withDesk(async (desk) => {
      await desk.attach()
      const record = desk.read(recordName)
      await desk.detach()
      writeFileSync(desk.path(recordName), record)
      const env = { ...process.env, FLEETSIE_DESK: JSON.parse(record).token }
      const [own, other] = [desk.folder, desk.top].map((cwd) => spawn('sleep', ['1003'], { cwd, env }))
      try {
        await Promise.all(
          [own, other].map((child) => new Promise((resolve) => child!.once('spawn', resolve))),
        )
        await desk.detach()
        assert.deepEqual([isAlive(own!.pid!), isAlive(other!.pid!)], [false, true])
        await desk.assertUnmounted()
      } finally {
        own!.kill('SIGKILL')
        other!.kill('SIGKILL')
      }
    }))

  test('a loop device of another file at one of our places is not ours', () =>
    withDesk(async (desk) => {
      await desk.attach()
      const other = another()
      try {
        for (const place of ['part_5', 'original/part_5']) tool('umount', [desk.path(place)])
        const { offset, size } = JSON.parse(desk.read(recordName)).mounts[4]
        const options = `ro,loop,offset=${offset},sizelimit=${size}`
        tool('mount', ['-t', 'ext4', '-o', options, other.disk, desk.path('original/part_5')])
        assert.equal((await deskState(desk.folder)).is, 'stale')
        await desk.detach()
        assert.equal(desk.mounts().length, 1)
        assert.equal(other.loops().length, 1)
        assert.deepEqual(await desk.stuckLoops(), [])
        tool('umount', [desk.path('original/part_5')])
      } finally {
        other.remove()
      }
    }))

  test('a copy of a mounted folder is stale, and cleaning it leaves the mounted one alone', () =>
    withDesk(async (desk) => {
      await desk.attach()
      const copy = another()
      try {
        writeFileSync(copy.path(recordName), desk.read(recordName))
        assert.equal((await deskState(copy.folder)).is, 'stale')
        await copy.detach()
        await copy.assertUnmounted()
        assert.equal((await deskState(desk.folder)).is, 'mounted')
        assert.equal(desk.mounts().length, 6)
      } finally {
        copy.remove()
      }
      await desk.detach()
    }))

  test('what is mounted in another namespace only is left alone, and a process there is named', () =>
    withDesk(async (desk) => {
      const inside = spawn('unshare', ['--mount', 'sh', '-c', 'read line; exec sleep 1002'], {
        stdio: ['pipe', 'ignore', 'inherit'],
      })
      try {
        const enter = ['nsenter', `--target=${inside.pid}`, '--mount']
        const own = readlinkSync('/proc/self/ns/mnt')
        while (readlinkSync(`/proc/${inside.pid}/ns/mnt`) === own)
          await new Promise((resolve) => setImmediate(resolve))
        assert.equal((await desk.drive('attach', enter)).error, undefined)
        assert.deepEqual(desk.mounts(), [])
        assert.equal((await deskState(desk.folder)).is, 'stale')
        await assert.rejects(desk.detach(), failure('E_UNSAFE', new RegExp(`where process ${inside.pid} is`)))
        assert.equal((await desk.drive('detach', enter)).error, undefined)
        await desk.assertUnmounted()
      } finally {
        inside.kill('SIGKILL')
      }
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
      await desk.assertUnmounted()
    }))

  test('what is mounted inside is named, and stays', () =>
    withDesk(async (desk) => {
      await desk.attach()
      tool('mount', ['-t', 'tmpfs', 'theirs', desk.path('part_2/etc/deep')])
      await assert.rejects(desk.detach(), failure('E_UNSAFE', /mounted inside: part_2\/etc\/deep/))
      assert.equal(desk.mounts().length, 7)
      tool('umount', [desk.path('part_2/etc/deep')])
      await desk.detach()
      await desk.assertUnmounted()
    }))

  test('a damaged record is removed when nothing is mounted, else it is left with the commands that help', () =>
    withDesk(async (desk) => {
      writeFileSync(desk.path(recordName), '{"format":1')
      assert.equal((await deskState(desk.folder)).is, 'stale')
      await desk.detach()
      await desk.assertUnmounted()
      await desk.attach()
      const record = desk.read(recordName)
      writeFileSync(desk.path(recordName), record.replaceAll('"part_2"', '"../part_2"'))
      await assert.rejects(desk.detach(), (error: FleetsieError) => {
        assert.match(error.hint!, /umount '.*part_5'; /)
        return failure('E_DAMAGED', /record/)(error)
      })
      writeFileSync(desk.path(recordName), record)
      await desk.detach()
      await desk.assertUnmounted()
    }))
})
