/** What is written to lets no second writer in, is past the cache where that is possible, and says where it fails. */
import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { alignedBuffers, isAligned } from '../../../../lib/images/flash/buffers.ts'
import { openTarget } from '../../../../lib/images/flash/target.ts'
import { MiB, tool } from '../../../helpers/disks.ts'
import { needs, needsRoot } from '../../../helpers/needs.ts'
import { loopOver, run } from './flash-rig.ts'

let folder: string
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'fleetsie-target-'))
})
after(() => rmSync(folder, { recursive: true, force: true }))

function file(name: string, size = MiB): string {
  const path = join(folder, name)
  writeFileSync(path, Buffer.alloc(size, name))
  return path
}

describe('opening', { skip: needs('flock') }, () => {
  test('a file a second time is refused', async (t) => {
    const path = file('twice')
    const first = await openTarget(path, { run })
    t.after(() => first.close())
    await assert.rejects(openTarget(path, { run }), { code: 'E_UNSAFE', exitCode: 2, message: /is in use/ })
  })

  test('a file again after it was closed is not', async () => {
    const path = file('again')
    await (await openTarget(path, { run })).close()
    await (await openTarget(path, { run })).close()
  })

  test('a device that is mounted is refused', { skip: needsRoot || needs('mkfs.ext4') }, async (t) => {
    const path = file('mounted', 4 * MiB)
    tool('mkfs.ext4', ['-q', '-F', path])
    const mountpoint = join(folder, 'mnt')
    mkdirSync(mountpoint)
    const device = loopOver(t, path)
    tool('mount', [device, mountpoint])
    try {
      await assert.rejects(openTarget(device, { run }), {
        code: 'E_UNSAFE',
        message: /is in use: it is mounted/,
      })
    } finally {
      tool('umount', [mountpoint])
    }
    const target = await openTarget(device, { run })
    assert.equal(target.kind, 'block')
    assert.equal(target.size, 4 * MiB)
    await assert.rejects(openTarget(device, { run }), { code: 'E_UNSAFE' })
    await target.close()
  })

  for (const [title, path, code] of [
    ['nothing', 'not-there', 'E_INPUT'],
    ['a folder', '.', 'E_INPUT'],
    ['a file of which a part of the path is none', 'twice/deeper', 'E_INPUT'],
    ['what is neither file nor block device', '/dev/null', 'E_INPUT'],
  ] as const) {
    test(`${title} is refused by name`, async () => {
      const wanted = path.startsWith('/') ? path : join(folder, path)
      await assert.rejects(openTarget(wanted, { run }), { code })
    })
  }
})

describe('a target', () => {
  const places: [title: string, at: number, length: number][] = [
    ['whole pages', 4096, 8192],
    ['odd places', 513, 1000],
    ['the last bytes of an odd size', MiB - 4096, 4096 + 512],
  ]
  for (const [title, at, length] of places) {
    test(`is written and read at ${title}`, async (t) => {
      const path = file(`places ${title}`, MiB + 512)
      const before = readFileSync(path)
      const target = await openTarget(path, { run })
      t.after(() => target.close())
      const [bytes] = alignedBuffers(1, length) as [Buffer]
      bytes.fill('written')
      await target.write(bytes, at)
      await target.flush()
      await target.forget()
      const [back] = alignedBuffers(1, length) as [Buffer]
      await target.read(back, at)
      assert.ok(back.equals(bytes))
      bytes.copy(before, at)
      assert.ok(readFileSync(path).equals(before))
    })
  }

  test('reads what others changed after it has forgotten', { skip: needsRoot }, async (t) => {
    const mountpoint = join(folder, 'tmpfs')
    mkdirSync(mountpoint)
    tool('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'none', mountpoint])
    const path = join(mountpoint, 'card')
    writeFileSync(path, Buffer.alloc(MiB, 1))
    const target = await openTarget(path, { run })
    t.after(async () => {
      await target.close()
      tool('umount', [mountpoint])
    })
    const buffer = Buffer.alloc(4096)
    await target.read(buffer, 0)
    writeFileSync(path, Buffer.alloc(MiB, 2))
    await target.forget()
    await target.read(buffer, 0)
    assert.equal(buffer[0], 2)
  })

  for (const user of [0, 65534]) {
    test(`a device is read from the medium after it has forgotten, as user ${user}`, {
      skip: needsRoot || needs('losetup'),
    }, async (t) => {
      t.after(() => process.seteuid!(0))
      const path = join(folder, `behind-${user}`)
      writeFileSync(path, Buffer.alloc(MiB, 1))
      const device = loopOver(t, path)
      chmodSync(device, 0o666)
      t.after(() => chmodSync(device, 0o660))
      process.seteuid!(user)
      const target = await openTarget(device, { run })
      t.after(() => target.close())
      // What is not aligned goes through the cache.
      const buffer = Buffer.alloc(512)
      await target.read(buffer, 512)
      process.seteuid!(0)
      writeFileSync(path, Buffer.alloc(MiB, 2), { flag: 'r+' })
      process.seteuid!(user)
      await target.read(buffer, 512)
      assert.equal(buffer[0], 1, 'it was in the cache')
      await target.forget()
      await target.read(buffer, 512)
      assert.equal(buffer[0], 2)
    })
  }

  test('names itself and the byte where it ends', async (t) => {
    const path = file('short', 8192)
    const target = await openTarget(path, { run })
    t.after(() => target.close())
    const [buffer] = alignedBuffers(1, 8192) as [Buffer]
    await assert.rejects(target.read(buffer, 4096), {
      code: 'E_IO',
      message: `reading ${path} failed at byte 8192: it ends here`,
    })
  })
})

test('buffers begin at pages, and parts of them are known not to', () => {
  const buffers = alignedBuffers(3, 10_000)
  for (const buffer of buffers) {
    assert.equal(buffer.length, 10_000)
    assert.ok(isAligned(buffer, 4096))
    assert.ok(!isAligned(buffer.subarray(512), 4096))
  }
  assert.ok(!isAligned(Buffer.alloc(4096), 4096))
})
