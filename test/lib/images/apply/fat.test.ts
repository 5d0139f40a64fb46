import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { openVolume, readFile as readInside } from '../../../../lib/images/read-tree.ts'
import { shown, toBytes } from '../../../../lib/images/volume.ts'
import { withWindow } from '../../../../lib/images/window.ts'
import { Bench, failsWith, file, folder, hardlink, link, opaque, other, whiteout } from './layers.ts'

const device = (bench: Bench): string[] => ['-i', `${bench.disk}@@${bench.partition.offset}`]

/** All paths, as mtools sees them. */
async function paths(bench: Bench): Promise<string[]> {
  // An empty folder ends mdir with 1.
  const { stdout } = await bench.run('mdir', ['-/', '-b', ...device(bench), '::'], { okCodes: [0, 1] })
  return stdout
    .toString()
    .split('\n')
    .filter((text) => text !== '')
    .map((text) => text.slice(2))
    .sort()
}

async function fsck(bench: Bench): Promise<void> {
  const part = join(bench.dir, 'check.img')
  await writeFile(part, (await readFile(bench.disk)).subarray(bench.partition.offset))
  await bench.run('fsck.fat', ['-n', part])
}

const widths: [number, number][] = [
  [12, 8],
  [16, 32],
  [32, 40],
]
for (const [bits, size] of widths) {
  test(`FAT${bits}: files and folders come, are replaced and go`, async (t) => {
    const bench = await (await Bench.open(t)).fat(bits, size)
    const big = Buffer.from(Array.from({ length: 700_000 }, (_, i) => (i * 31) & 255))
    await bench.put(
      file('config.txt', 'a=1'),
      file('CMDLINE.TXT', 'x'),
      file('empty', ''),
      folder('overlays'),
      file('overlays/a[1] long name.dtbo', big),
      ...Array.from({ length: 120 }, (_, i) => file(`overlays/number ${i} of many.dtbo`, `${i}`)),
      file('implied/a/b', 'c'),
    )
    await fsck(bench)
    assert.deepEqual(
      (await bench.run('mtype', [...device(bench), '::/overlays/a\\[1] long name.dtbo'])).stdout,
      big,
    )
    await bench.put(
      file('config.txt', 'b=2'),
      whiteout('overlays'),
      opaque('implied'),
      folder('implied'),
      file('implied/new', ''),
      whiteout('nothing'),
      whiteout('CMDLINE.TXT'),
    )
    await fsck(bench)
    assert.deepEqual(await paths(bench), ['/config.txt', '/empty', '/implied/', '/implied/new'])
    assert.equal((await bench.run('mtype', [...device(bench), '::/config.txt'])).stdout.toString(), 'b=2')
    assert.match((await bench.run('mlabel', ['-s', ...device(bench), '::'])).stdout.toString(), /BOOT/)
  })
}

test('names beyond ASCII are written whole, whatever a code page or mtools makes of them', async (t) => {
  const bench = await (await Bench.open(t)).fat(32, 40)
  const names = [
    'é',
    'ø.txt',
    'übung.txt',
    'Łódź',
    '日本語.txt',
    '😀',
    'mixed 😀 long name with more than thirteen',
    '-dash',
    '#hash',
    "it's `x`",
    'a+b=c;d,e',
    'MiXeD',
    'a~1.txt',
    'x'.repeat(200),
    `${'ü'.repeat(127)}`,
  ]
  await bench.put(folder('dä😀'), ...names.flatMap((name) => [file(name, name), file(`dä😀/${name}`, name)]))
  await fsck(bench)
  const found = await withWindow(bench.disk, bench.partition, 'r', (window) => {
    const volume = openVolume(window, bench.partition)
    return [...volume.list(volume.list(volume.rootId).get(toBytes('dä😀'))!).keys()].map(shown)
  })
  assert.deepEqual(found.sort(), [...names].sort())
  for (const name of names) assert.equal((await readInside(bench, `/dä😀/${name}`)).toString(), name)
  // mtools as a second judge, for all that it can show.
  const seen = await paths(bench)
  for (const name of names) if (!name.includes('😀')) assert.ok(seen.includes(`/${name}`), name)
  await bench.put(whiteout('dä😀'), ...names.map((name) => whiteout(name)))
  assert.deepEqual(await paths(bench), [])
  await fsck(bench)
})

test('a layer spells a name in another case: the file is replaced, a folder stays what it is', async (t) => {
  const bench = await (await Bench.open(t)).fat(16, 32)
  await bench.put(file('CONFIG.TXT', 'old'), folder('Overlays'), file('Overlays/x', ''))
  await bench.put(file('config.txt', 'new'), folder('overlays'), file('overlays/y', ''))
  assert.deepEqual(await paths(bench), ['/Overlays/', '/Overlays/x', '/Overlays/y', '/config.txt'])
  await fsck(bench)
})

test('times are those of the layer or the epoch, to two seconds, in UTC, and two runs give the same bytes', async (t) => {
  const sums: string[] = []
  for (let i = 0; i < 2; i++) {
    const bench = await (await Bench.open(t)).fat(32, 40)
    await bench.put(
      folder('d'),
      file('d/said', '', { mtime: { seconds: 1_600_000_001, nanoseconds: 5 } }),
      file('unsaid', ''),
      file('early', '', { mtime: { seconds: 5, nanoseconds: 0 } }),
      file('ü', ''),
    )
    const text = (await bench.run('mdir', ['-a', ...device(bench), '::', '::/d'])).stdout.toString()
    assert.match(text, /said .*2020-09-13 +12:26/)
    assert.match(text, /unsaid .*2023-11-14 +22:13/)
    assert.match(text, /early .*1980-01-01 +0:00/)
    await bench.put(whiteout('d'), file('unsaid', 'x'))
    sums.push(await bench.sum())
    const year = new Date().getUTCFullYear() - 1980
    for (const { at, bytes } of await folderEntries(bench)) {
      for (const field of [16, 18, 24])
        assert.notEqual(bytes.readUInt16LE(field) >> 9, year, `a date of today at ${at}`)
    }
  }
  assert.equal(sums[0], sums[1])
})

/** The top folder's entries: FAT32 with one cluster of it. */
async function folderEntries(bench: Bench): Promise<{ at: number; bytes: Buffer }[]> {
  const disk = await readFile(bench.disk)
  const part = disk.subarray(bench.partition.offset)
  const start = (part.readUInt16LE(14) + part[16]! * part.readUInt32LE(36)) * 512
  const entries: { at: number; bytes: Buffer }[] = []
  for (let at = start; part[at] !== 0; at += 32) {
    if (part[at] !== 0xe5 && (part[at + 11]! & 8) === 0)
      entries.push({ at, bytes: part.subarray(at, at + 32) })
  }
  return entries
}

const refused: [string, Parameters<Bench['put']>, RegExp][] = [
  ['a symlink', [link('l', 'x')], /"l" is a symlink/],
  ['a hard link', [file('a', ''), hardlink('b', 'a')], /"b" is a hard link/],
  ['a device', [other({ path: 'd', type: 'character', major: 1, minor: 3 })], /"d" is a device/],
  [
    'names that differ in case',
    [file('README', ''), file('readme', '')],
    /"readme" and "README" differ only in case/,
  ],
  ['folders that differ in case', [file('D/a', ''), file('d/b', '')], /differ only in case/],
  ['a colon', [file('a:b', '')], /FAT cannot hold: it has ":"/],
  ['a control character', [file('a\tb', '')], /"a\\tb"/],
  ['a dot at the end', [file('x.', '')], /ends with a dot/],
  ['a space at the end', [folder('x ')], /ends with a dot or a space/],
  ['a device name', [file('com1.txt', '')], /name of a device/],
  ['4 GiB', [file('big', 'xx', { size: 2 ** 32, extents: [{ offset: 0, length: 2 }] })], /less than 4 GiB/],
]
test('what FAT cannot hold is refused by name, and nothing is changed', async (t) => {
  const bench = await (await Bench.open(t)).fat(16, 32)
  const sum = await bench.sum()
  for (const [what, inputs, pattern] of refused) {
    await assert.rejects(bench.put(...inputs), failsWith('E_INPUT', pattern), what)
  }
  assert.equal(await bench.sum(), sum)
})

test('what does not fit is refused before the edit, with the missing size', async (t) => {
  const bench = await (await Bench.open(t)).fat(12, 4)
  const sum = await bench.sum()
  await assert.rejects(
    bench.put(file('big', Buffer.alloc(5 * 2 ** 20, 1))),
    failsWith('E_TOO_SMALL', /part_1 has \d+ bytes free; the layers need \d+ bytes/),
  )
  const many = Array.from({ length: 600 }, (_, i) => file(`${i}`, ''))
  await assert.rejects(bench.put(...many), failsWith('E_TOO_SMALL', /top folder has room for 512 entries/))
  assert.equal(await bench.sum(), sum)
})

test('files that are read-only, hidden or not ASCII in their 8.3 name can be replaced and removed', async (t) => {
  const bench = await (await Bench.open(t)).fat(16, 32)
  await bench.put(folder('d'), file('d/locked', ''), file('locked', 'old'), file('hidden', ''))
  await writeFile(join(bench.dir, 'é'), 'x')
  await bench.run('mcopy', [...device(bench), join(bench.dir, 'é'), '::'])
  await bench.run('mattrib', ['+r', ...device(bench), '::/locked', '::/d/locked'])
  await bench.run('mattrib', ['+h', '+s', ...device(bench), '::/hidden'])
  await bench.put(whiteout('d'), file('locked', 'new'), whiteout('hidden'), whiteout('é'))
  assert.deepEqual(await paths(bench), ['/locked'])
  await fsck(bench)
})

test('a damaged filesystem is refused before the edit', async (t) => {
  const bench = await (await Bench.open(t)).fat(16, 32)
  await bench.put(file('a', 'x'.repeat(10_000)))
  // The second table no longer agrees with the first.
  const part = (await readFile(bench.disk)).subarray(bench.partition.offset)
  await bench.patch(part.readUInt16LE(14) * 512 + part.readUInt16LE(22) * 512 + 6, Buffer.from([1, 2, 3]))
  const sum = await bench.sum()
  await assert.rejects(
    bench.put(file('b', '')),
    failsWith('E_DAMAGED', /part_1 does not pass fsck\.fat/, /fsck\.fat/),
  )
  assert.equal(await bench.sum(), sum)
})
