/** How work is shared among processes, and where finished blocks wait. */
import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { batchesOf } from '../../../../lib/images/compress/batches.ts'
import { limiter } from '../../../../lib/images/compress/limiter.ts'
import { Spool } from '../../../../lib/images/compress/spool.ts'

const MiB = 1024 * 1024
const folder = await mkdtemp(join(tmpdir(), 'fleetsie-sharing-'))
after(() => rm(folder, { recursive: true }))

const cases: { name: string; weights: number[]; jobs: number; most?: number; expected: number[][] }[] = [
  { name: 'nothing makes no batch', weights: [], jobs: 2, expected: [] },
  {
    name: 'equal work is halved for two',
    weights: [1, 1, 1, 1, 1, 1],
    jobs: 2,
    expected: [
      [1, 1, 1],
      [1, 1, 1],
    ],
  },
  { name: 'one job takes all', weights: [3, 1, 2], jobs: 1, expected: [[3, 1, 2]] },
  { name: 'fewer pieces than jobs run alone', weights: [5, 5], jobs: 8, expected: [[5], [5]] },
  {
    name: 'heavy and light work is balanced',
    weights: [9, 1, 1, 8],
    jobs: 2,
    expected: [
      [9, 1],
      [1, 8],
    ],
  },
  {
    name: 'no batch is heavier than the limit while its parts are not',
    weights: [2, 2, 2, 2, 2],
    jobs: 1,
    most: 4,
    expected: [[2, 2], [2, 2], [2]],
  },
  { name: 'a part above the limit is a batch', weights: [16, 16], jobs: 1, most: 4, expected: [[16], [16]] },
  {
    name: 'a part above the limit leaves those after it together',
    weights: [16, 1, 1, 1],
    jobs: 1,
    most: 4,
    expected: [[16], [1, 1, 1]],
  },
]
for (const { name, weights, jobs, most = 100, expected } of cases) {
  test(name, () =>
    assert.deepEqual(
      batchesOf(weights, (weight) => weight, jobs, most),
      expected,
    ),
  )
}

test('never more run at once than the limit, and all in the end, in order', async () => {
  const limited = limiter(3)
  let running = 0
  let most = 0
  const started: number[] = []
  const all = Array.from({ length: 20 }, (_, i) =>
    limited(async () => {
      started.push(i)
      most = Math.max(most, ++running)
      await new Promise(setImmediate)
      running--
      if (i === 4) throw new Error('one fails')
      return i
    }),
  )
  const results = await Promise.allSettled(all)
  assert.equal(most, 3)
  assert.deepEqual(started, [...started.keys()])
  assert.equal(results.filter(({ status }) => status === 'rejected').length, 1)
})

test('blocks wait in memory as long as they are few, else on the disk, and come back as they were', async () => {
  const spool = new Spool(folder)
  const blocks = [20, 10, 5, 3, 0].map((size, i) => Buffer.alloc(size * MiB + 3, `block ${i} `))
  const kept = []
  for (const block of blocks.slice(0, 4)) kept.push(await spool.keep(block))
  const onDisk = async (): Promise<number> => (await stat(join(folder, 'blocks'))).size
  assert.equal(await onDisk(), 8 * MiB + 6)
  kept[0]!.drop()
  kept.push(await spool.keep(blocks[4]!))
  assert.equal(await onDisk(), 8 * MiB + 6)
  for (const i of [3, 1, 2, 4]) assert.ok((await kept[i]!.read()).equals(blocks[i]!), `block ${i}`)
  await spool.close()
  assert.deepEqual(await readdir(folder), ['blocks'])
})
