import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { applyLayers } from '../../../../lib/images/apply.ts'
import { Bench, ext4Features, file, folder, hardlink, link, listed, stat, whiteout } from './layers.ts'

const flavours: [string, string[]][] = [
  [
    'ext2 with blocks of 1 KiB and inodes of 128 bytes',
    ['-O', 'none,ext_attr,dir_index,filetype,sparse_super,large_file', '-b', '1024', '-I', '128'],
  ],
  ['ext3', ['-O', 'none,has_journal,ext_attr,resize_inode,dir_index,filetype,sparse_super,large_file']],
  ['ext4 with inline data', ['-O', `${ext4Features},inline_data`]],
  ['ext4 with clusters', ['-O', `${ext4Features},bigalloc`, '-C', '16384']],
  [
    'ext4 with meta groups and without checksums',
    [
      '-O',
      'none,has_journal,ext_attr,dir_index,filetype,extent,meta_bg,sparse_super,large_file,uninit_bg',
      '-b',
      '1024',
    ],
  ],
  ['ext4 with a checksum seed', ['-O', `${ext4Features},metadata_csum_seed`]],
]
for (const [flavour, args] of flavours) {
  test(`${flavour} is edited the same way, and keeps its features`, async (t) => {
    const bench = await (await Bench.open(t)).ext(args, { size: 48 })
    const features = (await bench.ask('show_super_stats -h')).match(/features:.*/)![0]
    const big = Buffer.from(Array.from({ length: 3_000_000 }, (_, i) => (i * 31) & 255))
    await bench.put(
      folder('d'),
      folder('d/sub'),
      file('d/big', big),
      file('d/small', 'tiny', {
        xattrs: new Map([['user.a', Buffer.from('b')]]),
        mtime: { seconds: 1_500_000_000, nanoseconds: 7 },
      }),
      link('d/l', 'z'.repeat(200)),
      ...Array.from({ length: 150 }, (_, i) => file(`d/sub/number ${i}`, `${i}`.repeat(i))),
      hardlink('d/twin', 'd/small'),
    )
    await bench.put(
      whiteout('d/sub/number 7'),
      file('d/small', 'other'),
      whiteout('d/l'),
      folder('d/sub', { mode: 0o700 }),
    )
    await bench.fsck()
    assert.ok((await bench.content('/d/big')).equals(big))
    // debugfs shows 60 bytes of any small file with inline data.
    const small = Number((await stat(bench, '/d/small')).match(/Size: (\d+)/)![1])
    assert.equal((await bench.content('/d/small')).toString('utf8', 0, small), 'other')
    assert.equal((await listed(bench, '/d/sub')).length, 149)
    await bench.put(whiteout('d'))
    await bench.fsck()
    assert.equal((await bench.ask('show_super_stats -h')).match(/features:.*/)![0], features)
  })
}

test('files of zeros are whole where small files live in their inodes, which debugfs alone gets wrong', async (t) => {
  const bench = await (await Bench.open(t)).ext(['-O', `${ext4Features},inline_data`])
  const sizes = [0, 1, 60, 61, 150, 161, 310, 5000, 100_000]
  const xattrs = new Map([['user.a', Buffer.from('b')]])
  await bench.put(...sizes.map((size) => file(`zeros-${size}`, Buffer.alloc(size), { xattrs })))
  await bench.fsck()
  for (const size of sizes.filter((size) => size > 60)) {
    assert.ok((await bench.content(`/zeros-${size}`)).equals(Buffer.alloc(size)), `${size} bytes`)
  }
})

test('two runs give the same bytes, and no time of this day is in them', async (t) => {
  const sums: string[] = []
  for (let i = 0; i < 2; i++) {
    const bench = await (await Bench.open(t)).ext()
    await bench.put(
      folder('d'),
      file('d/x', 'x'),
      link('d/new\nline', 'y'),
      file('big', Buffer.alloc(300_000, 3)),
    )
    await bench.put(
      whiteout('d/x'),
      whiteout('big'),
      folder('d', { mode: 0o711 }),
      file('d/y', 'y', { xattrs: new Map([['user.x', Buffer.from('y')]]) }),
    )
    sums.push(await bench.sum())
    const text = await bench.ask('show_super_stats -h')
    assert.match(text, /Last write time: +Tue Nov 14 22:13:20 2023/)
    assert.doesNotMatch(text, /Lifetime writes: +[2-9]\d* [MG]B/)
    const bytes = await readFile(bench.disk)
    const now = Math.floor(Date.now() / 1000)
    for (let at = 0; at < bytes.length; at += 4)
      assert.ok(Math.abs(bytes.readUInt32LE(at) - now) > 600, `a time of today at ${at}`)
  }
  assert.equal(sums[0], sums[1])
})

test('an epoch of zero is a time like any other', async (t) => {
  const bench = await (await Bench.open(t)).ext()
  const layer = await bench.layer(file('a', 'x'), file('gone', 'x'))
  await applyLayers({
    run: bench.run,
    disk: bench.disk,
    partition: bench.partition,
    layers: [layer],
    epoch: 0,
    tmp: bench.dir,
  })
  await applyLayers({
    run: bench.run,
    disk: bench.disk,
    partition: bench.partition,
    layers: [await bench.layer(whiteout('gone'))],
    epoch: 0,
    tmp: bench.dir,
  })
  await bench.fsck()
  assert.match(await stat(bench, '/a'), /ctime: 0x00000000:00000000[\s\S]*crtime: 0x00000000/)
})

test('a layer without changes leaves every byte as it was', async (t) => {
  const bench = await (await Bench.open(t)).ext()
  const sum = await bench.sum()
  await bench.put(whiteout('nothing'))
  assert.equal(await bench.sum(), sum)
})
