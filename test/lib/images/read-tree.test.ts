import assert from 'node:assert/strict'
import { open } from 'node:fs/promises'
import { test } from 'node:test'
import { exists, readFile } from '../../../lib/images/read-tree.ts'
import { Bench, failsWith, file, folder, link } from './apply/layers.ts'

test('files of ext are read through links, which stay inside the image', async (t) => {
  const bench = await (await Bench.open(t)).ext()
  const big = Buffer.from(Array.from({ length: 2_500_000 }, (_, i) => (i * 31) & 255))
  await bench.put(
    folder('usr'),
    file('usr/big', big),
    link('lib', 'usr'),
    link('abs', '/usr/big'),
    link('out', '../../../usr/big'),
    link('a', 'b'),
    link('b', 'a'),
  )
  for (const path of ['/usr/big', 'usr/big', 'lib/big', '/abs', 'out', '/lib/../abs']) {
    assert.ok((await readFile(bench, path)).equals(big), path)
    assert.equal(await exists(bench, path), true)
  }
  for (const path of ['nowhere', 'usr/big/x', 'a', 'lib/nowhere']) {
    assert.equal(await exists(bench, path), false)
    await assert.rejects(readFile(bench, path), failsWith('E_INPUT', /part_2 does not exist/))
  }
  await assert.rejects(readFile(bench, 'lib'), failsWith('E_INPUT', /is a directory, not a file/))
  await assert.rejects(readFile(bench, 'abs', 1000), failsWith('E_INPUT', /the limit is 1000/))
})

const superblockFaults: [string, number, number][] = [
  ['no block', 0x4, 0],
  ['a first block behind the last', 0x14, 0x8000],
  ['groups of a few blocks', 0x20, 8],
  ['more inodes than its groups hold', 0x28, 1],
  ['inodes of an odd size', 0x58, 200],
]
for (const [fault, at, value] of superblockFaults) {
  test(`an ext superblock with ${fault} is damaged, and no bug of ours`, async (t) => {
    const bench = await (await Bench.open(t)).ext()
    const disk = await open(bench.disk, 'r+')
    const field = Buffer.alloc(2)
    field.writeUInt16LE(value)
    await disk.write(field, 0, 2, bench.partition.offset + 1024 + at)
    await disk.close()
    await assert.rejects(exists(bench, '/'), failsWith('E_DAMAGED', /not a sound ext filesystem/))
  })
}

test('files of FAT are read whatever the case', async (t) => {
  const bench = await (await Bench.open(t)).fat(32, 40)
  await bench.put(folder('Boot'), file('Boot/Config.txt', 'a=1'))
  assert.equal((await readFile(bench, '/boot/CONFIG.TXT')).toString(), 'a=1')
  assert.equal(await exists(bench, 'Boot/other'), false)
})

test('a filesystem that is none, or of another kind, is refused', async (t) => {
  const bench = await (await Bench.open(t)).ext()
  await assert.rejects(
    readFile({ ...bench, partition: { ...bench.partition, filesystem: 'btrfs' } }, '/a'),
    failsWith('E_UNSUPPORTED', /part_2 holds btrfs/),
  )
  await bench.patch(1024, Buffer.alloc(1024, 0xa5))
  await assert.rejects(readFile(bench, '/a'), failsWith('E_DAMAGED', /ext/))
})
