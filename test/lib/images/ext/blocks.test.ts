import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { blockRuns } from '../../../../lib/images/ext/blocks.ts'
import { type Inode, inodeFlags } from '../../../../lib/images/ext/inode.ts'

const blockSize = 1024
const blocks = 1000

/** [first block of the file, block, length]: of a leaf; without a length, of an index. */
type Entry = [logical: number, physical: number, count?: number]

function node(depth: number, entries: readonly Entry[], length = blockSize): Buffer {
  const bytes = Buffer.alloc(length)
  bytes.writeUInt16LE(0xf30a, 0)
  bytes.writeUInt16LE(entries.length, 2)
  bytes.writeUInt16LE(depth, 6)
  for (const [index, [logical, physical, count = 0]] of entries.entries()) {
    const at = 12 + index * 12
    bytes.writeUInt32LE(logical, at)
    if (depth > 0) bytes.writeUInt32LE(physical, at + 4)
    else bytes.writeUInt16LE(count, at + 4)
    if (depth === 0) bytes.writeUInt32LE(physical, at + 8)
  }
  return bytes
}

/** The runs of a tree, and how many blocks were read for them. */
function read(root: Buffer, nodes: Record<number, Buffer>): { runs: number[][]; reads: number } {
  const raw = Buffer.alloc(256)
  root.copy(raw, 0x28, 0, 60)
  const inode = { number: 12, flags: inodeFlags.extents, size: blocks * blockSize, raw } as Inode
  let reads = 0
  const readBlock = (block: number): Buffer => {
    reads += 1
    assert.ok(reads <= 1000, 'blocks are read again and again')
    return nodes[block]!
  }
  const found = [...blockRuns({ blockSize, blocks, readBlock }, inode)]
  return { runs: found.map(({ logical, physical, count }) => [logical, physical, count]), reads }
}

describe('an extent tree', () => {
  test('gives its runs in order', () => {
    const nodes = {
      10: node(1, [
        [0, 11],
        [40, 12],
      ]),
      11: node(0, [
        [0, 100, 5],
        [7, 200, 1],
      ]),
      12: node(0, [[41, 300, 4]]),
      13: node(0, [[90, 400, 2]]),
    }
    const { runs } = read(
      node(
        2,
        [
          [0, 10],
          [80, 14],
        ],
        60,
      ),
      { ...nodes, 14: node(1, [[80, 13]]) },
    )
    assert.deepEqual(runs, [
      [0, 100, 5],
      [7, 200, 1],
      [41, 300, 4],
      [90, 400, 2],
    ])
  })

  test('may be empty', () => assert.deepEqual(read(node(0, [], 60), {}).runs, []))

  const twice: Entry[] = Array.from({ length: 80 }, (_, index) => [index, 10])
  const refused: [string, Buffer, Record<number, Buffer>, RegExp][] = [
    [
      'with extents out of order',
      node(
        0,
        [
          [5, 100, 1],
          [4, 200, 1],
        ],
        60,
      ),
      {},
      /out of order/,
    ],
    [
      'with extents that overlap',
      node(
        0,
        [
          [0, 100, 3],
          [2, 200, 1],
        ],
        60,
      ),
      {},
      /out of order/,
    ],
    ['with an extent of no blocks', node(0, [[0, 100, 0]], 60), {}, /empty extent/],
    ['with an index of no entries', node(1, [], 60), {}, /impossible/],
    [
      'that names one leaf many times',
      node(
        1,
        [
          [0, 10],
          [1, 10],
          [2, 10],
        ],
        60,
      ),
      { 10: node(0, [[0, 100, 1]]) },
      /out of order/,
    ],
    [
      'that names one index many times',
      node(
        4,
        [
          [0, 13],
          [100, 13],
          [200, 13],
          [300, 13],
        ],
        60,
      ),
      { 13: node(3, twice), 10: node(2, twice) },
      /out of order|impossible/,
    ],
    [
      'that names one index many times, and below it a leaf without anything',
      node(
        4,
        [
          [0, 13],
          [100, 13],
          [200, 13],
          [300, 13],
        ],
        60,
      ),
      {
        13: node(
          3,
          Array.from({ length: 80 }, (_, index) => [index, 12]),
        ),
        12: node(
          2,
          Array.from({ length: 80 }, (_, index) => [index, 11]),
        ),
        11: node(
          1,
          Array.from({ length: 80 }, (_, index) => [index, 10]),
        ),
        10: node(0, []),
      },
      /out of order/,
    ],
  ]
  for (const [title, root, nodes, message] of refused) {
    test(`${title} is refused`, () => assert.throws(() => read(root, nodes), { code: 'E_DAMAGED', message }))
  }
})
