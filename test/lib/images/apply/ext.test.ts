import assert from 'node:assert/strict'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  Bench,
  ext4Features,
  failsWith,
  file,
  folder,
  hardlink,
  link,
  listed,
  opaque,
  other,
  stat,
  whiteout,
} from './layers.ts'

const notRoot = process.getuid?.() === 0 ? false : 'needs root: debugfs rdump sets owners'

test('every name that a folder can have arrives as it is', { skip: notRoot }, async (t) => {
  const bench = await (await Bench.open(t)).ext()
  const names = [
    'plain',
    'two words',
    ' lead and trail ',
    'q"uote',
    '""',
    "it's",
    'back\\slash',
    'tab\there',
    'new\nline',
    'carriage\rreturn',
    '<12>',
    '-dash',
    '#hash',
    '!bang',
    '$HOME',
    'ümläut 日本語 😀',
    'x'.repeat(255),
    `${'ü'.repeat(127)}x`,
    '"'.repeat(255),
    '\n'.repeat(255),
    '*',
    '?',
    '[a]',
  ]
  const inputs = names.flatMap((name) => [
    folder('d'),
    file(`d/${name}`, name),
    folder(`e/${name}`),
    file(`e/${name}/in`, 'x'),
  ])
  await bench.put(folder('d'), folder('e'), ...unique(inputs))
  await bench.fsck()
  const out = join(bench.dir, 'out')
  await mkdir(out)
  await bench.ask(`rdump /d /e ${out}`)
  assert.deepEqual((await readdir(join(out, 'd'))).sort(), [...names].sort())
  assert.deepEqual((await readdir(join(out, 'e'))).sort(), [...names].sort())
  for (const name of names) assert.equal(await readFile(join(out, 'd', name), 'utf8'), name)

  await bench.put(...names.flatMap((name) => [whiteout(`d/${name}`), whiteout(`e/${name}`)]))
  await bench.fsck()
  assert.equal((await listed(bench, '/d')).length, 0)
  assert.equal((await listed(bench, '/e')).length, 0)
})

test('owners, modes, devices, links and times become what the layer says', async (t) => {
  const bench = await (await Bench.open(t)).ext()
  await bench.put(
    folder('d', { mode: 0o1777, uid: 70_000, gid: 4_000_000_000 }),
    file('d/suid', 'x', {
      mode: 0o6755,
      uid: 65_535,
      gid: 65_536,
      mtime: { seconds: 5_000_000_000, nanoseconds: 123_456_789 },
    }),
    file('d/old', 'x', { mtime: { seconds: -86_400, nanoseconds: 500 } }),
    file('d/unsaid', 'x'),
    hardlink('d/twin', 'd/suid'),
    link('d/fast', 'x'.repeat(59)),
    link('d/slow', 'y'.repeat(60)),
    link('d/long', '"'.repeat(4095)),
    link('d/odd', 'a\nb\rc'),
    other({ path: 'd/null', type: 'character', major: 1, minor: 3, mode: 0o666 }),
    other({ path: 'd/disk', type: 'block', major: 259, minor: 1_048_575 }),
    other({ path: 'd/pipe', type: 'fifo', mode: 0o600 }),
  )
  await bench.fsck()
  const expected: [string, RegExp[]][] = [
    ['/d', [/Mode: +01777/, /User: +70000 +Group: +-294967296/, /Links: 2 /]],
    [
      '/d/suid',
      [
        /Mode: +06755/,
        /User: +65535 +Group: +65536/,
        /Links: 2 /,
        /mtime: 0x2a05f200:1d6f3455/,
        /ctime: 0x6553f100:00000000/,
        /atime: 0x6553f100:00000000/,
        /crtime: 0x6553f100:00000000/,
      ],
    ],
    ['/d/old', [/mtime: 0xfffeae80:000007d0/]],
    ['/d/unsaid', [/mtime: 0x6553f100:00000000/]],
    ['/d/fast', [/Fast link dest: "x{59}"/]],
    ['/d/slow', [/Type: symlink/, /Size: 60\b/, /Blockcount: 8/]],
    ['/d/long', [/Size: 4095\b/]],
    ['/d/odd', [/Size: 5\b/]],
    ['/d/null', [/Type: character special +Mode: +0666/, /Device major\/minor number: 01:03/]],
    ['/d/disk', [/Type: block special/, /\(hex 103:fffff\)/]],
    ['/d/pipe', [/Type: FIFO +Mode: +0600/]],
  ]
  for (const [path, patterns] of expected) {
    const text = await stat(bench, path)
    for (const pattern of patterns) assert.match(text, pattern, path)
  }
})

test('whiteouts and opaque folders take away recursively, and what else has the inode keeps it', async (t) => {
  const bench = await (await Bench.open(t)).ext()
  await bench.put(
    folder('a'),
    folder('a/b'),
    folder('a/b/c'),
    file('a/b/c/deep', 'x'.repeat(100_000)),
    link('a/b/l', '/etc'),
    other({ path: 'a/b/p', type: 'fifo' }),
    file('a/b/twin', 'kept'),
    hardlink('keep', 'a/b/twin'),
    folder('o'),
    file('o/old', '1'),
    folder('o/sub'),
    file('o/sub/x', '2'),
  )
  assert.match(await stat(bench, '/keep'), /Links: 2 /)
  await bench.put(
    whiteout('a'),
    whiteout('not/there'),
    whiteout('neither'),
    opaque('o'),
    opaque(''),
    file('keep2', ''),
    folder('o'),
    file('o/new', '3'),
  )
  await bench.fsck()
  assert.deepEqual((await listed(bench, '/')).map((line) => line[4]).sort(), ['keep2', 'lost+found', 'o'])
  assert.deepEqual(
    (await listed(bench, '/o')).map((line) => line[4]),
    ['new'],
  )

  const other2 = await (await Bench.open(t)).ext()
  await other2.put(folder('a'), file('a/twin', 'kept'), hardlink('keep', 'a/twin'))
  await other2.put(whiteout('a'))
  await other2.fsck()
  assert.match(await stat(other2, '/keep'), /Links: 1 /)
  assert.equal((await other2.content('/keep')).toString(), 'kept')
})

test('a file replaces a folder, a folder a file, and a replaced hard link leaves its twin alone', async (t) => {
  const bench = await (await Bench.open(t)).ext()
  await bench.put(
    folder('d'),
    folder('d/in'),
    file('d/in/x', '1'),
    file('f', '2'),
    file('t1', 'twin'),
    hardlink('t2', 't1'),
    file('s', 'long old content'),
  )
  await bench.put(
    file('d', 'now a file'),
    folder('f'),
    file('f/x', '3'),
    file('t1', 'alone'),
    link('s', 'f/x'),
  )
  await bench.fsck()
  assert.equal((await bench.content('/d')).toString(), 'now a file')
  assert.equal((await bench.content('/f/x')).toString(), '3')
  assert.equal((await bench.content('/t1')).toString(), 'alone')
  assert.equal((await bench.content('/t2')).toString(), 'twin')
  assert.match(await stat(bench, '/t2'), /Links: 1 /)
  assert.match(await stat(bench, '/s'), /Fast link dest: "f\/x"/)
})

test('several layers give the last word to the last', async (t) => {
  const bench = await (await Bench.open(t)).ext()
  const first = await bench.layer(
    folder('d'),
    file('d/a', '1'),
    file('d/b', '1'),
    file('gone', '1'),
    folder('o'),
    file('o/a', '1'),
  )
  const second = await bench.layer(
    whiteout('gone'),
    file('d/a', '2'),
    whiteout('d/b'),
    opaque('o'),
    folder('o'),
    file('o/b', '2'),
  )
  const third = await bench.layer(file('d/b', '3'))
  await bench.apply(first, second, third)
  await bench.fsck()
  assert.deepEqual(
    (await listed(bench, '/d')).map((line) => line[4]),
    ['a', 'b'],
  )
  assert.deepEqual(
    (await listed(bench, '/o')).map((line) => line[4]),
    ['b'],
  )
  assert.equal((await bench.content('/d/a')).toString(), '2')
  assert.equal((await bench.content('/d/b')).toString(), '3')
})

test('a folder over a link to a folder follows it inside the image', async (t) => {
  const bench = await (await Bench.open(t)).ext()
  await bench.put(
    folder('usr'),
    folder('usr/lib'),
    link('lib', 'usr/lib'),
    link('abs', '/usr/lib'),
    link('up', '../../../usr'),
    folder('deep'),
    link('deep/er', '../lib'),
  )
  await bench.put(
    folder('lib'),
    file('lib/a', '1'),
    folder('abs'),
    file('abs/b', '2'),
    file('up/c', '3'),
    file('deep/er/d', '4'),
    file('up/lib/new/e', '5'),
  )
  await bench.fsck()
  assert.deepEqual(
    (await listed(bench, '/usr/lib')).map((line) => line[4]),
    ['a', 'b', 'd', 'new'],
  )
  assert.equal((await bench.content('/usr/c')).toString(), '3')
  assert.match(await stat(bench, '/lib'), /Type: symlink/)
  await bench.put(whiteout('lib'), folder('lib'), file('lib/own', ''))
  assert.match(await stat(bench, '/lib'), /Type: directory/)
  await bench.fsck()
})

test('links that lead nowhere, round in a circle or to a file are refused, and nothing is changed', async (t) => {
  const bench = await (await Bench.open(t)).ext()
  await bench.put(
    link('dangling', 'nowhere'),
    link('a', 'b'),
    link('b', 'a'),
    file('f', ''),
    link('tofile', 'f'),
  )
  const sum = await bench.sum()
  for (const [path, pattern] of [
    ['dangling/x', /nowhere does not exist/],
    ['a/x', /too many links/],
    ['f/x', /file/],
    ['tofile/x', /file/],
  ] as const) {
    await assert.rejects(bench.put(file(path, '')), failsWith('E_INPUT', pattern))
  }
  await assert.rejects(
    bench.put(folder('dangling')),
    failsWith('E_INPUT', /link to nowhere/, /\.wh\.dangling/),
  )
  assert.equal(await bench.sum(), sum)
})

test('extended attributes: binary values, ACLs, those in a block, and old ones cleared', async (t) => {
  const bench = await (await Bench.open(t)).ext()
  const acl = Buffer.from(
    '0200000001000700ffffffff02000700e803000004000500ffffffff10000700ffffffff20000500ffffffff',
    'hex',
  )
  const binary = Buffer.from([0, 10, 13, 34, 255, 92, 0])
  const xattrs = new Map([
    ['security.capability', Buffer.from('0100000200200000000000000000000000000000', 'hex')],
    ['system.posix_acl_access', acl],
    ['user.binary', binary],
    ['user.empty', Buffer.alloc(0)],
  ])
  await bench.put(
    folder('d', { xattrs }),
    file('f', 'x', { xattrs }),
    file('big', 'x', { xattrs: new Map([['user.big', Buffer.alloc(3000, 7)]]) }),
    link('l', 'x'),
  )
  await bench.fsck()
  const text = await bench.ask('ea_list /f')
  assert.match(text, /user\.binary \(7\) = 00 0a 0d 22 ff 5c 00/)
  assert.match(text, /system\.posix_acl_access/)
  assert.match(await bench.ask('ea_list /big'), /user\.big \(3000\)/)
  await bench.put(folder('d', { xattrs: new Map([['user.new', binary]]) }), file('big', 'y'), whiteout('f'))
  // Blocks of attributes that rm leaves allocated would be found here.
  await bench.fsck()
  assert.match(await bench.ask('ea_list /d'), /user\.new/)
  assert.doesNotMatch(await bench.ask('ea_list /d'), /user\.binary|security/)
  await assert.rejects(
    bench.put(file('f', '', { xattrs: new Map([['user.huge', Buffer.alloc(5000)]]) })),
    failsWith('E_INPUT', /more extended attributes than fit/),
  )
})

for (const filesystem of ['ext3', 'ext4']) {
  test(`a block of attributes that two files of ${filesystem} share is left to the other`, async (t) => {
    const features = filesystem === 'ext3' ? 'none,has_journal,ext_attr,filetype' : ext4Features
    const bench = await (await Bench.open(t)).ext(['-O', features])
    const xattrs = new Map([['user.big', Buffer.alloc(3000, 7)]])
    await bench.put(file('a', 'x', { xattrs }), file('b', 'x', { xattrs }), file('c', 'x', { xattrs }))
    const block = (await stat(bench, '/a')).match(/File ACL: (\d+)/)![1]!
    await bench.tell(`sif /b file_acl ${block}`, `sif /c file_acl ${block}`)
    await bench.run('e2fsck', ['-fy', await bench.device()], { cwd: bench.dir, okCodes: [0, 1] })
    assert.match(await stat(bench, '/b'), new RegExp(`File ACL: ${block}\\b`))
    await bench.put(whiteout('a'), file('b', 'new'))
    await bench.fsck()
    assert.match(await bench.ask('ea_list /c'), /user\.big \(3000\)/)
    await bench.put(whiteout('c'))
    await bench.fsck()
  })
}

test('many blocks of attributes are freed, on files and folders', async (t) => {
  const bench = await (await Bench.open(t)).ext()
  const free = (await bench.ask('show_super_stats -h')).match(/Free blocks:.*/)![0]
  const xattrs = new Map([['user.big', Buffer.alloc(3000, 7)]])
  const inputs = Array.from({ length: 30 }, (_, i) =>
    i % 2 ? file(`d/${i}`, 'x', { xattrs }) : folder(`d/${i}`, { xattrs }),
  )
  await bench.put(folder('d', { xattrs }), ...inputs)
  await bench.put(whiteout('d'))
  await bench.fsck()
  assert.equal((await bench.ask('show_super_stats -h')).match(/Free blocks:.*/)![0], free)
})

test('sparse files and blocks of zeros take no room', async (t) => {
  const bench = await (await Bench.open(t)).ext()
  const extents = [
    { offset: 5 * 2 ** 20 + 7, length: 4 },
    { offset: 3 * 2 ** 30, length: 2 },
  ]
  await bench.put(
    file('sparse', 'dataxy', { size: 4 * 2 ** 30, extents }),
    file('zeros', Buffer.alloc(2 ** 20)),
    file('holes', Buffer.concat([Buffer.from('a'), Buffer.alloc(2 ** 20), Buffer.from('b')])),
  )
  await bench.fsck()
  assert.match(await stat(bench, '/sparse'), /Size: 4294967296[\s\S]*Blockcount: 16\b/)
  assert.match(await stat(bench, '/zeros'), /Size: 1048576[\s\S]*Blockcount: 0\b/)
  assert.match(await stat(bench, '/holes'), /Blockcount: 16\b/)
})

test('a folder with an index stays sound when names come and go', async (t) => {
  const bench = await (await Bench.open(t)).ext()
  const many = Array.from({ length: 1500 }, (_, i) => file(`d/a name of some length, number ${i}`, ''))
  await bench.put(folder('d'), ...many)
  await bench.run('e2fsck', ['-fyD', await bench.device()], { cwd: bench.dir, okCodes: [0, 1] })
  assert.match(await stat(bench, '/d'), /Flags: 0x81000/)
  const more = Array.from({ length: 1500 }, (_, i) =>
    i % 3 === 0 ? whiteout(`d/a name of some length, number ${i}`) : file(`d/another name, number ${i}`, ''),
  )
  await bench.put(...more, file('d/origin', 'x'), hardlink('d/twin', 'd/origin'), file('d/new\nline', ''))
  await bench.fsck()
  assert.equal((await listed(bench, '/d')).length, 1500 - 500 + 1000 + 3)
})

function unique<T extends { entry: { path: string } }>(inputs: T[]): T[] {
  return [
    ...new Map(
      inputs.filter(({ entry }) => entry.path !== 'd').map((input) => [input.entry.path, input]),
    ).values(),
  ]
}
