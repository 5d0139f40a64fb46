/** What layers are said to change is what the image differs in after they were applied. */
import assert from 'node:assert/strict'
import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { FileChange } from '../../../../lib/images/diff/compare.ts'
import { layerEffects } from '../../../../lib/images/diff/layer-effects.ts'
import { compareVolumes } from '../../../../lib/images/diff/volumes.ts'
import { printable } from '../../../../lib/images/printable.ts'
import { openVolume } from '../../../../lib/images/read-tree.ts'
import { Window } from '../../../../lib/images/window.ts'
import { Bench, file, folder, hardlink, link, opaque, other, whiteout } from '../apply/layers.ts'

const signal = new AbortController().signal
const said = ({ path, kind, differs }: FileChange): string => [kind, printable(path), ...differs].join(' ')

/** The differences of two disks, file by file. */
function differences(bench: Bench, before: string, after: string, times = false): FileChange[] {
  const windows = [new Window(before, bench.partition), new Window(after, bench.partition)] as const
  const [a, b] = [openVolume(windows[0], bench.partition), openVolume(windows[1], bench.partition)]
  const found = [...compareVolumes(a, b, { times })]
  for (const window of windows) window.close()
  return found
}

async function stock(bench: Bench): Promise<void> {
  await bench.put(
    folder('etc'),
    file('etc/same', 'same'),
    file('etc/edited', 'before'),
    file('etc/gone', 'gone'),
    file('etc/mode', 'm'),
    file('etc/owner', 'o'),
    file('etc/tagged', 'x', { xattrs: new Map([['user.a', Buffer.from('1')]]) }),
    file('etc/kind', 'a file'),
    link('etc/link', 'same'),
    folder('var/old/deep'),
    file('var/old/deep/one', '1'),
    file('var/old/two', '22'),
    folder('usr/lib'),
    link('lib', 'usr/lib'),
    other({ path: 'null', type: 'character', major: 1, minor: 3 }),
    folder('kept'),
    file('kept/large', Buffer.alloc(3_000_000, 7)),
  )
}

describe('the effects of layers', () => {
  test('are the differences of the images before and after, on ext4', async (t) => {
    const bench = await (await Bench.open(t)).ext()
    await stock(bench)
    const before = join(bench.dir, 'before.img')
    await copyFile(bench.disk, before)
    const first = await bench.layer(
      file('etc/same', 'same', { mtime: { seconds: 99, nanoseconds: 0 } }),
      file('etc/edited', 'after!'),
      whiteout('etc/gone'),
      file('etc/mode', 'm', { mode: 0o4755 }),
      file('etc/owner', 'o', { uid: 1000, gid: 70_000 }),
      file('etc/tagged', 'x', { xattrs: new Map([['user.a', Buffer.from('2')]]) }),
      link('etc/link', 'edited'),
      opaque('var/old'),
      file('var/old/new', 'n'),
      file('lib/through', 'a link'),
      other({ path: 'null', type: 'character', major: 300, minor: 70_000 }),
      file('kept/<b>"\'&\u202e\n', 'x'),
    )
    const second = await bench.layer(
      whiteout('etc/kind'),
      folder('etc/kind2'),
      file('etc/edited', 'again'),
      whiteout('var/old'),
      file('etc/second', '2'),
      hardlink('etc/third', 'etc/second'),
    )
    await bench.apply(first, second)
    const { effects, changes } = await layerEffects(before, bench.partition, [first, second], signal)
    const found = changes.map(said)
    assert.deepEqual(found, differences(bench, before, bench.disk).map(said))
    assert.deepEqual(found, [
      'changed etc/edited content',
      'removed etc/gone',
      'removed etc/kind',
      'added etc/kind2',
      'changed etc/link target',
      'changed etc/mode mode',
      'changed etc/owner owner',
      'added etc/second',
      'changed etc/tagged xattr',
      'added etc/third',
      'added kept/<b>"\'&\\u{202e}\\u{a}',
      'changed null device',
      'added usr/lib/through',
      'removed var/old',
      'removed var/old/deep',
      'removed var/old/deep/one',
      'removed var/old/two',
    ])
    const layers = new Map(changes.map((change) => [change.path, change.layer]))
    assert.deepEqual(
      ['etc/edited', 'etc/gone', 'etc/second', 'var/old', 'usr/lib/through'].map((path) => layers.get(path)),
      [1, 0, 1, 1, 0],
    )
    assert.deepEqual(
      effects.map(({ added, changed, removed }) => [added, changed, removed]),
      [
        [3, 6, 4],
        [3, 1, 3],
      ],
    )
    assert.equal(effects[1]!.bytesIn, 'again'.length + 2)
  })

  test('are the differences on FAT, whose names have no case', async (t) => {
    const bench = await (await Bench.open(t)).fat(16, 16)
    await bench.put(file('Config.txt', 'a=1'), file('gone.txt', 'x'), folder('sub'), file('sub/b', 'b'))
    const before = join(bench.dir, 'before.img')
    await copyFile(bench.disk, before)
    const layer = await bench.layer(
      file('config.txt', 'a=2', { mode: 0o600, uid: 5 }),
      whiteout('GONE.TXT'),
      file('sub/b', 'b'),
      file('new ü.txt', 'n'),
    )
    await bench.apply(layer)
    const { changes } = await layerEffects(before, bench.partition, [layer], signal)
    const found = changes.map(said)
    assert.deepEqual(found, differences(bench, before, bench.disk).map(said))
    assert.deepEqual(found, ['changed config.txt content', 'removed gone.txt', 'added new ü.txt'])
  })

  test('times alone are told when they are asked for', async (t) => {
    const bench = await (await Bench.open(t)).ext()
    await bench.put(file('a', 'a'))
    const before = join(bench.dir, 'before.img')
    await copyFile(bench.disk, before)
    await bench.put(file('a', 'a', { mtime: { seconds: 5, nanoseconds: 6 } }))
    assert.deepEqual(differences(bench, before, bench.disk).map(said), [])
    assert.ok(differences(bench, before, bench.disk, true).map(said).includes('changed a time'))
  })
})

test('where digests vouch for a place, its content is not read; holes and fragments compare as they read', async (t) => {
  const bench = await (await Bench.open(t)).ext()
  const sparse = { extents: [{ offset: 2_000_000, length: 3 }], size: 5_000_000 }
  await bench.put(file('sparse', 'abc', sparse), file('other', Buffer.alloc(900_000, 1)))
  const before = join(bench.dir, 'before.img')
  await copyFile(bench.disk, before)
  const full = Buffer.alloc(5_000_000)
  full.write('abc', 2_000_000)
  await bench.put(file('sparse', full))
  assert.deepEqual(differences(bench, before, bench.disk), [], 'a hole is zeros')
  full[4_999_999] = 1
  await bench.put(file('sparse', full))
  assert.deepEqual(differences(bench, before, bench.disk).map(said), ['changed sparse content'])
  const window = new Window(bench.disk, bench.partition)
  const volume = openVolume(window, bench.partition)
  const pieces = volume.pieces.bind(volume)
  volume.pieces = (id) => {
    assert.equal(volume.node(id).type, 'directory', 'the content of a file was read')
    return pieces(id)
  }
  const asked: number[] = []
  const sameBytes = (at: number): boolean => asked.push(at) > 0
  assert.deepEqual([...compareVolumes(volume, volume, { times: true, sameBytes })], [])
  assert.ok(asked.length >= 2)
  window.close()
})

test('only a path and what is below it', async (t) => {
  const bench = await (await Bench.open(t)).ext()
  await bench.put(file('a/b/c', '1'), file('a/bc', '1'))
  const before = join(bench.dir, 'before.img')
  await copyFile(bench.disk, before)
  await bench.put(file('a/b/c', '2'), file('a/bc', '2'), file('a/b/d/e', 'x'))
  const [one, two] = [new Window(before, bench.partition), new Window(bench.disk, bench.partition)]
  const within = (path: string): string[] =>
    [
      ...compareVolumes(openVolume(one, bench.partition), openVolume(two, bench.partition), {
        times: false,
        within: path,
      }),
    ].map(said)
  assert.deepEqual(within('a/b'), ['changed a/b/c content', 'added a/b/d', 'added a/b/d/e'])
  assert.deepEqual(within('a/b/d/e'), ['added a/b/d/e'])
  assert.deepEqual(within('nowhere'), [])
  for (const window of [one, two]) window.close()
})
