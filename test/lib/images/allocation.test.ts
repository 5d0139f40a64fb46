import assert from 'node:assert/strict'
import { readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { allocatedRanges } from '../../../lib/images/allocation.ts'
import { readFile as readInside } from '../../../lib/images/read-tree.ts'
import { Bench, ext4Features, file, folder, whiteout } from './apply/layers.ts'

const content = Buffer.from(Array.from({ length: 3_000_000 }, (_, i) => (i * 31) & 255))
const inputs = (): Parameters<Bench['put']> => [
  folder('d'),
  file('d/big', content),
  file('gone', content),
  ...Array.from({ length: 60 }, (_, i) => file(`d/number ${i}`, `${i}`)),
]

/** Fills everything that is not called allocated with 0xff. */
async function poison(bench: Bench): Promise<number> {
  const disk = await readFile(bench.disk)
  const ranges = await allocatedRanges(bench.disk, bench.partition)
  const filled = Buffer.from(disk)
  const { offset, size } = bench.partition
  filled.fill(0xff, offset, offset + size)
  let end = offset
  let sum = 0
  for (const range of ranges) {
    assert.ok(range.offset > end || range.offset === offset, 'the ranges are in order and apart')
    end = range.offset + range.length
    assert.ok(end <= offset + size)
    disk.copy(filled, range.offset, range.offset, end)
    sum += range.length
  }
  await writeFile(bench.disk, filled)
  return sum
}

const flavours: [string, string[]][] = [
  ['ext2 with blocks of 1 KiB', ['-O', 'none,filetype,sparse_super', '-b', '1024']],
  ['ext2 without sparse superblocks', ['-O', 'none,filetype', '-b', '1024']],
  ['ext4', ['-O', ext4Features]],
  ['ext4 with two backups', ['-O', `${ext4Features},sparse_super2`.replace('resize_inode,', '')]],
  [
    'ext4 with meta groups',
    ['-O', `${ext4Features},meta_bg`.replace('resize_inode,', ''), '-b', '1024', '-g', '1024'],
  ],
  ['ext4 with clusters', ['-O', `${ext4Features},bigalloc`, '-C', '16384']],
]
for (const [flavour, args] of flavours) {
  test(`${flavour} is whole without what is not called allocated`, async (t) => {
    const bench = await (await Bench.open(t)).ext(args, { size: 48 })
    await bench.put(...inputs())
    await bench.put(whiteout('gone'))
    const sum = await poison(bench)
    assert.ok(sum < 48 * 2 ** 20 * 0.6, `${sum} bytes of 48 MiB`)
    await bench.fsck()
    assert.ok((await bench.content('/d/big')).equals(content))
  })
}

for (const [bits, size] of [
  [12, 15],
  [16, 32],
  [32, 40],
] as const) {
  test(`FAT${bits} is whole without what is not called allocated`, async (t) => {
    const bench = await (await Bench.open(t)).fat(bits, size)
    await bench.put(...inputs())
    await bench.put(whiteout('gone'))
    const sum = await poison(bench)
    assert.ok(sum < 6 * 2 ** 20, `${sum} bytes`)
    const part = join(bench.dir, 'check.img')
    await writeFile(part, (await readFile(bench.disk)).subarray(bench.partition.offset))
    await bench.run('fsck.fat', ['-n', part])
    assert.ok((await readInside(bench, 'd/big')).equals(content))
    assert.deepEqual((await bench.run('mtype', ['-i', part, '::/d/big'])).stdout, content)
  })
}

for (const kind of ['ext', 'fat'] as const) {
  test(`what lies behind ${kind} in its partition is allocated: it may be a hash tree`, async (t) => {
    const bench = await Bench.open(t)
    await (kind === 'ext' ? bench.ext() : bench.fat(32, 40))
    const { offset, size } = bench.partition
    const more = 64 * 1024
    await truncate(bench.disk, offset + size + more)
    const ranges = await allocatedRanges(bench.disk, { ...bench.partition, size: size + more })
    const last = ranges.at(-1)!
    assert.ok(last.offset <= offset + size)
    assert.equal(last.offset + last.length, offset + size + more)
  })
}

test('of an unknown filesystem everything is allocated', async (t) => {
  const bench = await (await Bench.open(t)).ext()
  const { offset, size } = bench.partition
  assert.deepEqual(await allocatedRanges(bench.disk, { ...bench.partition, filesystem: null }), [
    { offset, length: size },
  ])
})
