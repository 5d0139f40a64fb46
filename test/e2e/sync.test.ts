/** What `--sync` brings to a running device: files with all that they have, what layers take away, and only what differs. */
import assert from 'node:assert/strict'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { MiB, tool } from '../helpers/disks.ts'
import { attributes, directory, file, type Member, symlink } from '../helpers/layers.ts'
import { skip, syncedDevice } from '../helpers/synced-device.ts'

const whiteout = (path: string): Member => ({ entry: { type: 'whiteout', path } })
const opaque = (path: string): Member => ({ entry: { type: 'opaque', path } })
const capability = Buffer.from('0100000200200000000000000000000000000000', 'hex')
describe('watch --sync', { skip }, () => {
  const { sync, push, at, text, warnings, device } = syncedDevice()

  for (const user of ['root', 'box', 'sudoer']) {
    it(`puts content, owner, mode, time and links in place as ${user}`, async () => {
      const long = `srv/${user}/${'long name/'.repeat(15)}file`
      const began = Math.floor(Date.now() / 1000)
      const result = await push(sync(user), {
        2: [
          directory(`srv/${user}`, { mode: 0o750, uid: 7, gid: 8, mtime: { seconds: 1e9, nanoseconds: 0 } }),
          file(`srv/${user}/run`, '#!/bin/sh\n', {
            ...{ mode: 0o4755, uid: 1000, gid: 1001, mtime: { seconds: 1_500_000_000, nanoseconds: 0 } },
          }),
          file(`srv/${user}/now`, ''),
          file(long, 'deep'),
          symlink(`srv/${user}/link`, '../no where'),
          symlink(`srv/${user}/toFolder`, 'sub'),
          directory(`srv/${user}/sub`),
          {
            entry: { ...attributes(`srv/${user}/zero`), type: 'hardlink', target: `srv/${user}/run` },
          },
          {
            entry: {
              ...attributes(`srv/${user}/null`, { mode: 0o666 }),
              type: 'character',
              major: 1,
              minor: 3,
            },
          },
          { entry: { ...attributes(`srv/${user}/pipe`, { mode: 0o600 }), type: 'fifo' } },
        ],
      })
      assert.equal(result.files, 8)
      assert.equal(result.bytes, 14)
      const run = lstatSync(at(`srv/${user}/run`))
      assert.deepEqual([run.mode & 0o7777, run.uid, run.gid, run.mtimeMs], [0o4755, 1000, 1001, 1.5e12])
      assert.equal(run.ino, lstatSync(at(`srv/${user}/zero`)).ino)
      assert.equal(text(`srv/${user}/run`), '#!/bin/sh\n')
      assert.equal(text(long), 'deep')
      assert.ok(lstatSync(at(`srv/${user}/now`)).mtimeMs / 1000 >= began, 'a time that nobody said is now')
      assert.equal(readlinkSync(at(`srv/${user}/link`)), '../no where')
      const folder = lstatSync(at(`srv/${user}`))
      assert.deepEqual([folder.mode & 0o7777, folder.uid, folder.gid, folder.mtimeMs], [0o750, 7, 8, 1e12])
      assert.ok(lstatSync(at(`srv/${user}/pipe`)).isFIFO())
      assert.equal(lstatSync(at(`srv/${user}/null`)).rdev, 0x103)
    })

    it(`takes every name that a file can have as ${user}`, async () => {
      const names = [
        ...["it's", 'a "b" c', '-rf', '--', 'new\nline', ' ', '*', '$(touch x)', '`id`', 'a\\b', '!!', '#'],
        ...['ÁÂÃÄÅÆÇÈ', '日本語', '🚀', '~root', 'a;b|c&d', '\u0001\t', 'plan', 'x'.repeat(255)],
      ]
      const folder = `srv/names of ${user}`
      const to = sync(user)
      const files = names.map((name) => file(`${folder}/${name}`, `1${name}`))
      await push(to, { 2: [...files, file(`${folder}/-d '\n$x/in`, 'in')] })
      assert.deepEqual(new Set(readdirSync(at(folder))), new Set([...names, "-d '\n$x"]))
      for (const name of names) assert.equal(text(`${folder}/${name}`), `1${name}`)
      assert.equal(text(`${folder}/-d '\n$x/in`), 'in')
      const gone = await push(to, { 2: [] })
      assert.equal(existsSync(at(folder)), false)
      assert.equal(gone.deleted, names.length + 3)
    })
  }

  it('sets extended attributes, on a folder that is there as well', async () => {
    const xattrs = new Map([['security.capability', capability]])
    mkdirSync(at('srv/attributes'))
    await push(sync(), {
      2: [
        file('srv/attributes/ping', 'x', { mode: 0o755, xattrs }),
        directory('srv/attributes', { mode: 0o711, xattrs: new Map([['trusted.note', Buffer.from('n')]]) }),
      ],
    })
    const read = (name: string, path: string): string =>
      tool('getfattr', ['-e', 'hex', '-n', name, '--absolute-names', at(path)])
    assert.match(read('security.capability', 'srv/attributes/ping'), /=0x01000002002/)
    assert.match(read('trusted.note', 'srv/attributes'), /=0x6e/)
    assert.equal(statSync(at('srv/attributes')).mode & 0o7777, 0o711)
  })

  it('says that a busybox tar cannot set extended attributes', async () => {
    const xattrs = new Map([['security.capability', capability]])
    await push(sync('box'), { 2: [file('srv/plain-tar', 'x', { xattrs })] })
    assert.equal(text('srv/plain-tar'), 'x')
    assert.match(warnings.join(), /without their extended attributes/)
  })

  for (const user of ['root', 'box']) {
    it(`keeps what is in a sparse file as ${user}`, async () => {
      const data = Buffer.alloc(8192, 7)
      const extents = [
        { offset: 4096, length: 4096 },
        { offset: MiB, length: 4096 },
      ]
      await push(sync(user), {
        2: [{ entry: { ...attributes('srv/sparse'), type: 'file', size: 2 * MiB, extents }, data }],
      })
      const wanted = Buffer.alloc(2 * MiB)
      for (const { offset, length } of extents) wanted.fill(7, offset, offset + length)
      assert.ok(readFileSync(at('srv/sparse')).equals(wanted))
    })
  }

  it('removes what whiteouts and opaque folders take away, and gives the stock file back with them', async () => {
    const to = sync()
    const first = await push(to, {
      2: [
        whiteout('srv/tree'),
        opaque('etc/list.d'),
        file('etc/list.d/c', 'c\n'),
        file('etc/hostname', 'mine\n'),
      ],
    })
    assert.equal(existsSync(at('srv/tree')), false)
    assert.deepEqual(readdirSync(at('etc/list.d')), ['c'])
    assert.equal(text('etc/hostname'), 'mine\n')
    assert.equal(first.deleted, 3)

    await push(to, { 2: [file('srv/tree/three', '3')] })
    assert.equal(text('etc/hostname'), 'stock\n')
    assert.deepEqual(readdirSync(at('etc/list.d')).sort(), ['a', 'b'])
    assert.equal(text('srv/tree/deep/two'), 'two\n')
    assert.equal(text('srv/tree/three'), '3')
    assert.equal(readlinkSync(at('srv/tree/deep/back')), '../one')
    const one = statSync(at('srv/tree/one'))
    assert.deepEqual([one.mode & 0o7777, one.mtimeMs, one.nlink], [0o600, 1.6e12, 2])
    assert.equal(one.ino, statSync(at('srv/tree/same')).ino)
  })

  it('removes what only the running system has when a whiteout names it', async () => {
    writeFileSync(at('srv/real/of the system'), '')
    const result = await push(sync(), { 2: [whiteout('srv/link/of the system')] })
    assert.equal(existsSync(at('srv/real/of the system')), false)
    assert.equal(result.deleted, 1)
  })

  it('keeps a folder that layers made when the running system has files in it', async () => {
    const to = sync()
    await push(to, { 2: [file('srv/state/ours', '1'), file('srv/empty/ours', '1')] })
    writeFileSync(at('srv/state/theirs'), '2')
    await push(to, { 2: [] })
    assert.deepEqual(readdirSync(at('srv/state')), ['theirs'])
    assert.equal(existsSync(at('srv/empty')), false)
  })

  it('follows a link to a folder and replaces one only by a whiteout', async () => {
    const to = sync()
    await push(to, { 2: [file('srv/link/through', 'x')] })
    assert.equal(text('srv/real/through'), 'x')
    assert.ok(lstatSync(at('srv/link')).isSymbolicLink())
    await push(to, { 2: [whiteout('srv/link'), file('srv/link/own', 'y')] })
    assert.ok(lstatSync(at('srv/link')).isDirectory())
    assert.equal(text('srv/link/own'), 'y')
    assert.equal(text('srv/real/kept'), 'kept\n')
    await push(to, { 2: [] })
    assert.equal(readlinkSync(at('srv/link')), '/srv/real')
  })

  for (const user of ['root', 'box']) {
    it(`puts a file, a link and a folder in each other's place as ${user}`, async () => {
      const kinds: Record<string, Member[]> = {
        file: [file('srv/turn', 'file')],
        link: [symlink('srv/turn', 'real')],
        folder: [directory('srv/turn'), file('srv/turn/in', 'in')],
      }
      const to = sync(user)
      for (const kind of ['file', 'link', 'folder', 'link', 'file', 'folder', 'file']) {
        await push(to, { 2: kinds[kind]! })
        const found = lstatSync(at('srv/turn'))
        assert.equal(found.isFile() ? 'file' : found.isSymbolicLink() ? 'link' : 'folder', kind)
      }
      assert.deepEqual(readdirSync(at('srv/real')).sort(), ['kept'])
    })
  }

  it('lets the later of two layers win, and sends only what differs', async () => {
    const to = sync()
    const base = { 2: [file('srv/two/a', 'A'), file('srv/two/b', 'B')] }
    await push(to, base, { 2: [file('srv/two/a', 'over A')] })
    assert.equal(text('srv/two/a'), 'over A')
    const inode = statSync(at('srv/two/b')).ino
    const next = await push(to, base, { 2: [file('srv/two/a', 'again')] })
    assert.deepEqual([next.files, next.bytes, next.deleted], [1, 5, 0])
    assert.equal(text('srv/two/a'), 'again')
    const without = await push(to, base, { 2: [] })
    assert.deepEqual([without.files, text('srv/two/a')], [1, 'A'])
    const same = await push(to, base, { 2: [] })
    assert.deepEqual([same.files, same.bytes, same.deleted], [0, 0, 0])
    assert.equal(statSync(at('srv/two/b')).ino, inode, 'an equal file is left alone')
    assert.equal((await push(sync(), base)).files, 2, 'a new session knows nothing')
  })

  it('sends a file whose owner or mode alone differs, and what another name of a changed file is', async () => {
    const to = sync()
    const link: Member = { entry: { ...attributes('srv/meta/z'), type: 'hardlink', target: 'srv/meta/a' } }
    await push(to, { 2: [file('srv/meta/a', 'A'), link, file('srv/meta/b', 'B')] })
    const result = await push(to, {
      2: [file('srv/meta/a', 'A', { mode: 0o600 }), link, file('srv/meta/b', 'B')],
    })
    assert.equal(result.files, 2)
    assert.equal(statSync(at('srv/meta/z')).ino, statSync(at('srv/meta/a')).ino)
    assert.equal(statSync(at('srv/meta/z')).mode & 0o7777, 0o600)
  })

  it('brings files of the FAT partition to where it is mounted, without owners and modes', async () => {
    const to = sync()
    await push(to, { 1: [file('Config.txt', 'mine\n', { mode: 0o755 }), file('overlays/new.dtbo', 'n')] })
    assert.equal(readFileSync(join(device().boot, 'overlays/new.dtbo'), 'utf8'), 'n')
    const result = await push(to, { 2: [] })
    assert.equal(existsSync(join(device().boot, 'overlays')), false)
    // Here the folder that stands for the partition tells names apart by case.
    assert.equal(readFileSync(join(device().boot, 'Config.txt'), 'utf8'), 'stock\n')
    assert.equal(result.files, 1)
    rmSync(join(device().boot, 'Config.txt'))
  })

  it('leaves out what another mount of the device hides, and says so once', async () => {
    const to = sync()
    const layer = { 2: [file('boot/firmware/hidden', 'x'), file('usr/hidden', 'x'), file('srv/seen', 'x')] }
    assert.equal((await push(to, layer)).files, 1)
    assert.equal(existsSync(join(device().boot, 'hidden')), false)
    assert.equal(warnings.length, 2)
    assert.match(warnings.join('\n'), /part_2 has for \/boot\/firmware is left out/)
  })
})
