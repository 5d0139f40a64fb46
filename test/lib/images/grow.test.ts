import assert from 'node:assert/strict'
import { stat, truncate } from 'node:fs/promises'
import { test } from 'node:test'
import { growPartition } from '../../../lib/images/grow.ts'
import { readPartitionTable } from '../../../lib/images/partitions.ts'
import { Bench, epoch, ext4Features, failsWith, file, folder } from './apply/layers.ts'

const MiB = 2 ** 20
const tables: [string, string, number][] = [
  ['MBR', 'label: dos\nlabel-id: 0x12345678\nstart=2048, size=65536, type=83\n', 0],
  [
    'GPT',
    'label: gpt\nlabel-id: 11111111-2222-3333-4444-555555555555\nstart=2048, size=65536, type=L, uuid=11111111-2222-3333-4444-666666666666\n',
    1,
  ],
]
async function bench(
  t: Parameters<typeof Bench.open>[0],
  table: string,
  tail: number,
  args?: string[],
): Promise<Bench> {
  const made = await (await Bench.open(t)).ext(args)
  await truncate(made.disk, (33 + tail) * MiB)
  await made.run('sfdisk', ['--quiet', made.disk], { input: table })
  made.partition = (await readPartitionTable(made.disk)).partitions[0]!
  return made
}
const grow = (on: Bench, size: number): Promise<number> =>
  growPartition({ run: on.run, disk: on.disk, partition: on.partition, size, epoch, tmp: on.dir })

for (const [name, table, tail] of tables) {
  test(`${name}: the file, the entry and the filesystem grow; ids stay, and two runs give the same bytes`, async (t) => {
    const sums: string[] = []
    for (let i = 0; i < 2; i++) {
      const on = await bench(t, table, tail)
      await on.put(folder('d'), file('d/a', 'kept'))
      const before = await readPartitionTable(on.disk)
      const size = await grow(on, 96 * MiB)
      assert.equal((await stat(on.disk)).size, size)
      const after = await readPartitionTable(on.disk)
      assert.deepEqual(after.partitions, [{ ...before.partitions[0]!, size: 96 * MiB }])
      assert.equal(after.diskId, before.diskId)
      await on.run('sfdisk', ['--verify', on.disk])
      on.partition = after.partitions[0]!
      await on.fsck()
      assert.equal((await on.content('/d/a')).toString(), 'kept')
      // Room that was not there before.
      await on.put(file('big', Buffer.alloc(48 * MiB, 1)))
      sums.push(await on.sum())
    }
    assert.equal(sums[0], sums[1])
  })
}

test('a filesystem without resize_inode grows as well', async (t) => {
  const on = await bench(t, tables[0]![1], 0, ['-O', ext4Features.replace('resize_inode,', '')])
  await grow(on, 160 * MiB)
  on.partition = (await readPartitionTable(on.disk)).partitions[0]!
  await on.fsck()
})

test('FAT, an impossible size and a damaged filesystem are refused, and nothing is changed', async (t) => {
  const on = await bench(t, tables[0]![1], 0)
  const sum = await on.sum()
  await assert.rejects(grow(on, 16 * MiB), failsWith('E_INPUT', /part_1 has \d+ bytes and cannot become/))
  await assert.rejects(grow(on, 100 * MiB + 1), failsWith('E_INPUT', /multiple of 4096/))
  const fat = { ...on.partition, filesystem: 'vfat' }
  await assert.rejects(
    growPartition({ run: on.run, disk: on.disk, partition: fat, size: 100 * MiB, epoch, tmp: on.dir }),
    failsWith('E_UNSUPPORTED', /FAT/),
  )
  assert.equal(await on.sum(), sum)
  await on.tell('ssv state 3')
  await assert.rejects(grow(on, 100 * MiB), failsWith('E_DAMAGED', /errors/, /e2fsck -fy/))
})
