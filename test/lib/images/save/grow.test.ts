import assert from 'node:assert/strict'
import { stat, truncate } from 'node:fs/promises'
import { test } from 'node:test'
import { readPartitionTable } from '../../../../lib/images/partitions.ts'
import { growImage, grownSize } from '../../../../lib/images/save/grow.ts'
import { needs } from '../../../helpers/needs.ts'
import { Bench, epoch } from '../apply/layers.ts'

const MiB = 2 ** 20
const sizes: [string, number][] = [
  ['2G', 2048 * MiB],
  ['+512M', 612 * MiB],
  ['+1', 101 * MiB],
  ['100M', 100 * MiB],
]
for (const [text, expected] of sizes) {
  test(`\`grow: '${text}'\` of 100 MiB`, () => assert.equal(grownSize(text, 100 * MiB), expected))
}

for (const text of ['99M', '257G', '+256G', '999999999G', '9'.repeat(400)]) {
  test(`\`grow: '${text.slice(0, 12)}'\` of 100 MiB is refused before anything is written`, () => {
    assert.throws(() => grownSize(text, 100 * MiB), { code: 'E_INPUT' })
  })
}

const skip = needs('sfdisk', 'resize2fs')
for (const [label, table] of [
  ['MBR', 'label: dos\nstart=2048, size=65536, type=83\n'],
  ['GPT', 'label: gpt\nstart=2048, size=65536, type=L\n'],
] as const) {
  test(`${label}: an image with room behind its last partition gets the size that was asked for`, {
    skip,
  }, async (t) => {
    const { run, disk, dir } = await (await Bench.open(t)).ext()
    await truncate(disk, 40 * MiB)
    await run('sfdisk', ['--quiet', disk], { input: table })
    await growImage({ run, disk, table: await readPartitionTable(disk), to: 64 * MiB, epoch, tmp: dir })
    assert.equal((await stat(disk)).size, 64 * MiB)
    const after = await readPartitionTable(disk, assert.fail)
    assert.equal(after.partitions[0]!.size, 56 * MiB)
  })
}
