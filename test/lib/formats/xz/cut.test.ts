/** Where the blocks of a new .xz begin and end. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  cut,
  editGrid,
  maxStockBlock,
  type Piece,
  type StockIndex,
  wholeGrid,
} from '../../../../lib/formats/xz/cut.ts'

const MiB = 1024 * 1024

function stockOf(...sizes: number[]): StockIndex {
  return {
    check: 4,
    blocks: sizes.map((uncompressed, i) => ({ offset: 12 + i * 100, unpadded: 97, uncompressed })),
  }
}

/** `touched` for single bytes of the disk. */
const at =
  (...spots: number[]) =>
  (offset: number, length: number): boolean =>
    spots.some((spot) => spot >= offset && spot < offset + length)

/** `c` copied, `e` encoded, lengths in MiB. */
function shape(pieces: readonly Piece[]): string {
  return pieces.map(({ kind, length }) => `${kind[0]}${length / MiB}`).join(' ')
}

const cases: {
  name: string
  size: number
  stock?: StockIndex
  touched?: (offset: number, length: number) => boolean
  expected: string
}[] = [
  { name: 'without a stock, all is cut at 16 MiB', size: 40 * MiB, expected: 'e16 e16 e8' },
  { name: 'an empty disk has no pieces', size: 0, expected: '' },
  {
    name: 'untouched blocks are copied',
    size: 48 * MiB,
    stock: stockOf(24 * MiB, 24 * MiB),
    expected: 'c24 c24',
  },
  {
    name: 'a touched block is cut at 1 MiB, its neighbours are copied',
    size: 12 * MiB,
    stock: stockOf(4 * MiB, 4 * MiB, 4 * MiB),
    touched: at(5 * MiB),
    expected: 'c4 e1 e1 e1 e1 c4',
  },
  {
    name: "the grid is the disk's where blocks begin elsewhere",
    size: 4 * MiB,
    stock: stockOf(1.5 * MiB, 2.25 * MiB, 0.25 * MiB),
    touched: at(2 * MiB),
    expected: 'c1.5 e0.5 e1 e0.75 c0.25',
  },
  {
    name: 'what the image grew by is cut at 16 MiB',
    size: 40 * MiB,
    stock: stockOf(4 * MiB),
    expected: 'c4 e12 e16 e8',
  },
  {
    name: 'a block that runs past the end of the image is encoded anew',
    size: 3 * MiB,
    stock: stockOf(2 * MiB, 2 * MiB, 2 * MiB),
    expected: 'c2 e1',
  },
  {
    name: 'one huge block is never copied, touched or not',
    size: 80 * MiB,
    stock: stockOf(80 * MiB),
    expected: 'e16 e16 e16 e16 e16',
  },
  {
    name: 'a block of just 64 MiB is copied',
    size: 64 * MiB,
    stock: stockOf(maxStockBlock),
    expected: 'c64',
  },
  { name: 'empty blocks are left out', size: 2 * MiB, stock: stockOf(0, 2 * MiB, 0), expected: 'c2' },
]
for (const { name, size, stock, touched = () => false, expected } of cases) {
  test(name, () => assert.equal(shape(cut(size, stock, touched)), expected))
}

test('any cut covers the disk once, in order, on its grid', () => {
  let seed = 7
  const random = (below: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31
    return seed % below
  }
  for (let round = 0; round < 200; round++) {
    const sizes = Array.from({ length: random(6) }, () => random(100) * 512 * 1024 + random(3) * 512)
    const stock = round % 5 === 0 ? undefined : stockOf(...sizes)
    const size = random(200) * 512 * 1024
    const spots = Array.from({ length: random(4) }, () => random(size + 1))
    let end = 0
    for (const piece of cut(size, stock, at(...spots))) {
      assert.equal(piece.offset, end)
      assert.ok(piece.length > 0)
      end += piece.length
      if (piece.kind === 'copy') {
        assert.equal(stock!.blocks[piece.block]!.uncompressed, piece.length)
        assert.ok(!at(...spots)(piece.offset, piece.length))
      } else {
        assert.ok(piece.grid === editGrid || piece.grid === wholeGrid)
        assert.equal(Math.floor(piece.offset / piece.grid), Math.floor((end - 1) / piece.grid))
      }
    }
    assert.equal(end, size)
  }
})
