/** Where the blocks of a new .xz begin and end. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  cleanGrain,
  cut,
  maxStockBlock,
  minRecoded,
  type Piece,
  type StockIndex,
  touchedGrain,
  virtualBlock,
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

/** `c` copied, `r` recoded, `t` touched and encoded, `e` encoded otherwise; lengths in KiB, `M` for MiB. */
function shape(pieces: readonly Piece[]): string {
  const letter = (piece: Piece): string => (piece.kind === 'encode' && piece.touched ? 't' : piece.kind[0]!)
  return pieces
    .map((piece) => {
      const { length } = piece
      return letter(piece) + (length % MiB === 0 ? `${length / MiB}M` : `${length / 1024}`)
    })
    .join(' ')
}

const cases: {
  name: string
  size: number
  stock?: StockIndex
  touched?: (offset: number, length: number) => boolean
  recodable?: boolean
  expected: string
}[] = [
  { name: 'without a stock, all is cut at 16 MiB', size: 40 * MiB, expected: 'e16M e16M e8M' },
  { name: 'an empty disk has no pieces', size: 0, expected: '' },
  {
    name: 'untouched blocks are copied',
    size: 48 * MiB,
    stock: stockOf(24 * MiB, 24 * MiB),
    expected: 'c24M c24M',
  },
  {
    name: 'what is clean in a touched block is recoded, its neighbours are copied',
    size: 12 * MiB,
    stock: stockOf(4 * MiB, 4 * MiB, 4 * MiB),
    touched: at(5 * MiB),
    expected: 'c4M r1M t64 r3008 c4M',
  },
  {
    name: 'short clean runs of a touched block are encoded',
    size: 4 * MiB,
    stock: stockOf(4 * MiB),
    touched: at(192 * 1024, 512 * 1024, 960 * 1024),
    expected: 'e192 t64 r256 t64 r384 t64 r3M',
  },
  {
    name: 'a touched block that cannot be recoded is cut at 1 MiB',
    size: 8 * MiB,
    stock: stockOf(4 * MiB, 4 * MiB),
    touched: at(5 * MiB + 65_536),
    recodable: false,
    expected: 'c4M e1M e64 t64 e896 e1M e1M',
  },
  {
    name: 'touched pieces next to each other stay pieces of 64 KiB',
    size: 1 * MiB,
    stock: stockOf(1 * MiB),
    touched: at(0, 65_536, 131_072),
    expected: 't64 t64 t64 r832',
  },
  {
    name: 'a MiB that is touched everywhere is one piece, one with a clean spot is not',
    size: 4 * MiB,
    stock: stockOf(4 * MiB),
    touched: (offset, length) => offset + length > MiB - 65_536 && offset < 3 * MiB - 65_536,
    expected: `r960 t64 t1M ${'t64 '.repeat(15)}r1088`,
  },
  {
    name: "the grid is the disk's where blocks begin elsewhere",
    size: 4 * MiB,
    stock: stockOf(1.5 * MiB + 512, 2.25 * MiB, 0.25 * MiB - 512),
    touched: at(1.5 * MiB + 1000, 2.5 * MiB),
    recodable: false,
    expected: 'c1536.5 t63.5 e448 e512 t64 e448 e768.5 c255.5',
  },
  {
    name: 'a touched cell that two blocks share touches both',
    size: 1 * MiB,
    stock: stockOf(96 * 1024, 928 * 1024),
    touched: (offset, length) => offset < 2 * 65_536 && offset + length > 65_536,
    expected: 'e64 t32 t32 r896',
  },
  {
    name: 'what the image grew by is cut at 16 MiB, and only its touched blocks more finely',
    size: 40 * MiB,
    stock: stockOf(4 * MiB),
    touched: at(17 * MiB),
    expected: 'c4M e12M e1M t64 e960 e1M e1M e1M e1M e1M e1M e1M e1M e1M e1M e1M e1M e1M e1M e8M',
  },
  {
    name: 'a block that runs past the end of the image is encoded anew',
    size: 3 * MiB,
    stock: stockOf(2 * MiB, 2 * MiB, 2 * MiB),
    expected: 'c2M e1M',
  },
  {
    name: 'one huge block is never copied, touched or not',
    size: 80 * MiB,
    stock: stockOf(80 * MiB),
    touched: at(79 * MiB),
    expected: `e16M e16M e16M e16M ${'e1M '.repeat(15)}t64 e960`,
  },
  {
    name: 'a block of just 64 MiB is copied',
    size: 64 * MiB,
    stock: stockOf(maxStockBlock),
    expected: 'c64M',
  },
  { name: 'empty blocks are left out', size: 2 * MiB, stock: stockOf(0, 2 * MiB, 0), expected: 'c2M' },
]
for (const { name, size, stock, touched = () => false, recodable = true, expected } of cases) {
  test(name, () => assert.equal(shape(cut(size, stock, touched, () => recodable)), expected))
}

/** The same numbers each time. */
function randoms(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return state % below
  }
}

test('any cut covers the disk once, in order, with every touched byte in a small piece', () => {
  const random = randoms(7)
  for (let round = 0; round < 200; round++) {
    const sizes = Array.from({ length: random(6) }, () => random(100) * 512 * 1024 + random(3) * 512)
    const stock = round % 5 === 0 ? undefined : stockOf(...sizes)
    const size = random(200) * 512 * 1024
    const spots = Array.from({ length: random(9) }, () => random(size + 1))
    const touched = at(...spots)
    let end = 0
    for (const piece of cut(size, stock, touched, (block) => block % 2 === 0)) {
      const { offset, length } = piece
      assert.equal(offset, end)
      assert.ok(length > 0)
      end += length
      const last = end - 1
      const grain = piece.kind === 'encode' && piece.touched ? touchedGrain : virtualBlock
      assert.equal(touched(offset, length), grain === touchedGrain)
      if (piece.kind === 'copy') assert.equal(stock!.blocks[piece.block]!.uncompressed, length)
      else if (piece.kind === 'encode') assert.equal(Math.floor(offset / grain), Math.floor(last / grain))
      else {
        const start = sizes.slice(0, piece.block).reduce((sum, one) => sum + one, 0)
        assert.ok(offset >= start && end <= start + sizes[piece.block]! && length >= minRecoded)
        assert.equal(piece.block % 2, 0)
      }
    }
    assert.equal(end, size)
  }
})

test('one more touched piece changes nothing outside of its block', () => {
  const random = randoms(11)
  const stock = stockOf(...Array.from({ length: 8 }, () => 2 * MiB + random(64) * 4096))
  const size = stock.blocks.reduce((sum, { uncompressed }) => sum + uncompressed, 0) + 40 * MiB
  for (let round = 0; round < 50; round++) {
    const spots = Array.from({ length: random(5) }, () => random(size))
    const spot = random(size)
    const before = cut(size, stock, at(...spots), () => true)
    const after = cut(size, stock, at(...spots, spot), () => true)
    const has = new Set(before.map((piece) => JSON.stringify(piece)))
    for (const piece of after.filter((one) => !has.has(JSON.stringify(one)))) {
      assert.ok(Math.abs(piece.offset - spot) <= virtualBlock)
      assert.ok(piece.length <= Math.max(cleanGrain, 3 * MiB))
    }
    assert.deepEqual(
      cut(size, stock, at(...spots, spot), () => true),
      after,
    )
  }
})
