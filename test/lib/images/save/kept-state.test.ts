/** A working image that cannot be trusted any more: it is made anew and the result is right, or the run fails and says why. */
import assert from 'node:assert/strict'
import fs, { copyFile, open, readdir, rename, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { MiB, tool } from '../../../helpers/disks.ts'
import { directory, file } from '../../../helpers/layers.ts'
import { needs } from '../../../helpers/needs.ts'
import { epoch, SaveRig } from './rig.ts'

const skip = needs('debugfs', 'e2fsck', 'mkfs.vfat', 'mcopy', 'fsck.fat', 'resize2fs')

const layers = (text: string) => ({
  1: [file('b1.txt', text)],
  2: [directory('d'), file('d/f1', text.repeat(20_000))],
})

async function patch(path: string, at: number, bytes: string): Promise<void> {
  const handle = await open(path, 'r+')
  await handle.write(bytes, at)
  await handle.close()
}

/** Writes a byte where no layer ever does, until the file's ctime is another one than it was: clocks tick. */
async function tamper(path: string): Promise<void> {
  const { ctimeNs } = await stat(path, { bigint: true })
  do await patch(path, 20 * MiB, 'x')
  while ((await stat(path, { bigint: true })).ctimeNs === ctimeNs)
}

const changes: [title: string, change: (folder: string) => Promise<void>][] = [
  ['a byte was written', (folder) => tamper(join(folder, 'disk.img'))],
  [
    'a byte was written and the mtime set back',
    async (folder) => {
      const disk = join(folder, 'disk.img')
      const times = join(folder, 'times')
      tool('touch', ['-r', disk, times])
      await tamper(disk)
      tool('touch', ['-r', times, disk])
    },
  ],
  [
    'a copy took its place',
    async (folder) => {
      await copyFile(join(folder, 'disk.img'), join(folder, 'copy'))
      await patch(join(folder, 'copy'), 20 * MiB, 'x')
      await rename(join(folder, 'copy'), join(folder, 'disk.img'))
    },
  ],
  ['it was cut off', (folder) => truncate(join(folder, 'disk.img'), 8 * MiB)],
  ['it was removed', (folder) => rm(join(folder, 'disk.img'))],
  ['the notes on it were damaged', (folder) => writeFile(join(folder, 'state.json'), '{"form":1')],
  ['the notes on it are of another form', (folder) => writeFile(join(folder, 'state.json'), '{"form":0}')],
]

describe('a working image that was changed behind our back is made anew, and one line says so', {
  skip,
}, () => {
  let rig: SaveRig
  let set: string
  let expected: Buffer
  before(async () => {
    rig = await SaveRig.open()
    set = await rig.set(layers('one '))
    expected = await rig.editFresh(rig.stock, set)
    await rig.edit(set)
  })
  after(() => rig?.remove())

  for (const [title, change] of changes) {
    test(title, async () => {
      await change(await rig.carried())
      const seen = await rig.edit(set)
      assert.equal(seen.notes.length, 1)
      assert.match(seen.notes[0]!, /working image was changed .* made anew/)
      assert.ok(expected.equals(seen.disk))
      assert.deepEqual((await readdir(await rig.carried())).sort(), ['disk.img', 'state.json'])
    })
  }

  test('and not again', async () => assert.deepEqual((await rig.edit(set)).notes, []))
})

test('a grown image whose beginning was changed behind our back is grown anew', { skip }, async (t) => {
  const rig = await SaveRig.open(t)
  rig.grow = { to: 32 * MiB, epoch }
  const set = await rig.set(layers('one '))
  const first = await rig.edit(set)
  await tamper(join(await rig.carried(), 'base.img'))
  const second = await rig.edit(set)
  assert.equal(second.notes.length, 1)
  assert.ok(second.disk.equals(first.disk))
})

test('a run that ended in the middle leaves nothing to the next one', { skip }, async (t) => {
  const rig = await SaveRig.open(t)
  const set = await rig.set(layers('one '))
  await rig.edit(set)
  const stop = (): Promise<void> => Promise.reject(new Error('the end'))
  await assert.rejects(rig.edit(await rig.set(layers('two ')), stop), /the end/)
  const seen = await rig.edit(set)
  assert.ok((await rig.editFresh(rig.stock, set)).equals(seen.disk))

  // Even where the folder stays, as after a power cut.
  const folder = await rig.carried()
  const { carry } = rig
  rig.carry = async (_, use) => use(folder)
  await assert.rejects(rig.edit(await rig.set(layers('three ')), stop), /the end/)
  rig.carry = carry
  const again = await rig.edit(set)
  assert.match(again.notes.join(), /made anew/)
  assert.ok(again.disk.equals(seen.disk))
})

test('an image that was changed in the store makes no image, whenever that was', { skip }, async (t) => {
  const rig = await SaveRig.open(t)
  const set = await rig.set(layers('one '))
  await rig.edit(set)
  // In the boot sector, where its checker does not look, beside what every edit of the partition writes.
  await patch(rig.stock, MiB + 0x120, 'damage')
  for (const when of ['after the working image was made', 'before it was made']) {
    const refused = { code: 'E_STORE', file: rig.stock, message: /MiB 1 /, hint: /store verify --repair/ }
    await assert.rejects(rig.edit(set), refused, when)
  }
})

test('a disk too full for the notes on the working image costs the image, not what was made of it', {
  skip,
}, async (t) => {
  const rig = await SaveRig.open(t)
  const set = await rig.set(layers('one '))
  const expected = await rig.edit(set)
  const write = fs.writeFile
  const mock = t.mock.method(fs, 'writeFile', async (path: string, ...rest: [string]) => {
    if (!path.endsWith('state.json')) return write(path, ...rest)
    // As a full disk leaves it.
    await write(path, rest[0].slice(0, 10))
    throw Object.assign(new Error('full'), { code: 'ENOSPC' })
  })
  syncBuiltinESMExports()
  t.after(syncBuiltinESMExports)
  const seen = await rig.edit(set)
  assert.ok(seen.disk.equals(expected.disk))
  assert.deepEqual(await readdir(await rig.carried()), ['disk.img'])
  mock.mock.restore()
  syncBuiltinESMExports()
  const again = await rig.edit(set)
  assert.deepEqual(again.notes, [])
  assert.ok(again.disk.equals(expected.disk))
})
