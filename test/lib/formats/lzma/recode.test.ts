/** Payloads made of parts of a block that `xz` made, decoded by every program at hand. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FleetsieError } from '../../../../lib/errors.ts'
import { recodeBlock } from '../../../../lib/formats/lzma/recode.ts'
import { needs } from '../../../helpers/needs.ts'
import { binary, mixture, noise, numbers, text } from '../../../helpers/sample-data.ts'
import { program, recodedAndJudged, type StockBlock, stockBlock, xzOf } from '../../../helpers/xz-blocks.ts'

const KiB = 1024

const again = [noise(160_000), text(40_000)]
const contents: [title: string, data: Buffer][] = [
  ['text', text(300 * KiB)],
  ['machine code', binary(300 * KiB)],
  ['zeros', Buffer.alloc(5000 * KiB)],
  ['noise, which is stored as it is,', noise(300 * KiB)],
  ['a mixture with stored chunks', mixture()],
  ['noise that comes again after text', Buffer.concat([...again, ...again])],
  ['a pattern of three bytes', Buffer.from('abc'.repeat(100_000))],
  ['one byte', Buffer.from('x')],
  ['two bytes', Buffer.from('xy')],
  ['a few bytes', Buffer.from('a few bytes, a few bytes')],
]
for (const [title, data] of contents) {
  test(`any part of ${title} can be re-coded`, async () => {
    const stock = await stockBlock(data)
    const { length } = data
    const places = [
      0,
      1,
      2,
      100,
      64 * KiB,
      Math.floor(length * 0.4),
      length >> 1,
      (length >> 1) + 1,
      length - 2,
      length - 1,
    ]
    const valid = [...new Set(places)].filter((at) => at >= 0 && at < length).sort((a, b) => a - b)
    for (const from of valid) recodedAndJudged(data, stock, [{ from, to: length }])
    for (const to of valid.slice(1)) recodedAndJudged(data, stock, [{ from: 0, to }])
    recodedAndJudged(data, stock, pairs([...valid, length]))
  })
}

const settings = [
  ...['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '0e', '6e', '9e'].map((preset) => `preset=${preset}`),
  ...['lc=0', 'lc=4', 'lc=0,lp=4', 'lc=2,lp=2', 'pb=0', 'pb=4', 'lc=1,lp=3,pb=1'],
  ...['dict=4KiB', 'dict=64KiB', 'dict=192KiB', 'nice=273', 'mode=fast,mf=hc3,nice=5'],
]
test('stocks of all settings of the encoder can be re-coded', async () => {
  const data = mixture(2)
  for (const setting of settings) {
    // The presets' own dictionaries would take hundreds of MB to encode with.
    const dictionary = setting.includes('dict') ? '' : ',dict=1MiB'
    const stock = await stockBlock(data, [`--lzma2=${setting}${dictionary}`])
    recodedAndJudged(data, stock, [
      { from: 0, to: 65_536 },
      { from: 65_536, to: 65_537 },
      { from: 131_072, to: 393_216 },
      { from: 393_216, to: data.length },
    ])
  }
})

test('what is re-coded is hardly larger than what the encoder made of it', async () => {
  const data = Buffer.concat([text(600 * KiB), binary(600 * KiB)])
  const stock = await stockBlock(data)
  const [payload] = recodedAndJudged(data, stock, [{ from: 64 * KiB, to: data.length }])
  const anew = await stockBlock(data.subarray(64 * KiB))
  assert.ok(payload!.length < anew.payload.length * 1.01, `${payload!.length}`)
})

test('whole chunks from the start of a block are taken over as they are', async () => {
  const data = text(500 * KiB)
  const stock = await stockBlock(data)
  const [all, part] = [data.length, 400 * KiB].map(
    (to) => recodedAndJudged(data, stock, [{ from: 0, to }])[0]!,
  )
  assert.ok(all!.equals(stock.payload))
  assert.ok(stock.payload.subarray(0, part!.length - 64 * KiB).equals(part!.subarray(0, -64 * KiB)))
})

test('a block of parts with resets and properties of their own can be re-coded', async () => {
  const parts = [mixture(3), text(80_000), noise(3000), text(90_000), Buffer.alloc(40_000)]
  const chains = ['lc=3', 'lc=0,lp=2,pb=0', 'lc=3', 'lc=1,lp=3,pb=4', 'lc=1,lp=3,pb=4']
  const stocks = await Promise.all(
    parts.map((part, i) => stockBlock(part, [`--lzma2=dict=1MiB,${chains[i]}`])),
  )
  const stock = joined(stocks)
  const data = Buffer.concat(parts)
  const edges = parts.map((_, i) => Buffer.concat(parts.slice(0, i + 1)).length)
  for (const edge of edges.slice(0, -1)) {
    for (const at of [edge - 1, edge, edge + 1]) {
      recodedAndJudged(data, stock, [
        { from: 0, to: at },
        { from: at, to: data.length },
      ])
    }
  }
  recodedAndJudged(data, stock, pairs([1000, ...edges.slice(0, -1), data.length - 1]))
})

const judges: [name: string, args: string[]][] = [
  ['xz', ['-dc']],
  ['python3', ['-c', 'import lzma,sys;sys.stdout.buffer.write(lzma.decompress(sys.stdin.buffer.read()))']],
  ['7z', ['x', '-txz', '-si', '-so']],
  ['bsdcat', []],
]
for (const [name, args] of judges) {
  test(`${name} reads what was re-coded`, { skip: needs(name) }, async () => {
    const data = mixture(4)
    const stock = await stockBlock(data)
    const next = numbers(5)
    const edges = Array.from({ length: 40 }, () => next(data.length)).sort((a, b) => a - b)
    const ranges = pairs([...new Set([0, ...edges, data.length])])
    const payloads = recodeBlock({ ...stock, ranges }).payloads.map((payload, i) => {
      return { payload, length: ranges[i]!.to - ranges[i]!.from, dictionary: stock.dictionarySize }
    })
    assert.ok(program(name, args, xzOf(payloads)).equals(data))
  })
}

test('ranges that are none are a fault of the program', async () => {
  const stock = await stockBlock(text(1000))
  const wrong = [
    [{ from: 5, to: 5 }],
    [{ from: -1, to: 5 }],
    [{ from: 0, to: 1001 }],
    [
      { from: 0, to: 5 },
      { from: 4, to: 9 },
    ],
  ]
  for (const ranges of wrong) {
    assert.throws(
      () => recodeBlock({ ...stock, ranges }),
      (error) => error instanceof FleetsieError && error.code === 'E_BUG',
    )
  }
})

/** The ranges between neighbours. */
function pairs(edges: readonly number[]): { from: number; to: number }[] {
  return edges.slice(1).map((to, i) => ({ from: edges[i]!, to }))
}

/** One payload of several: each begins with a reset of everything. */
function joined(stocks: readonly StockBlock[]): StockBlock {
  const chunks = stocks.map(({ payload }) => payload.subarray(0, -1))
  return {
    payload: Buffer.concat([...chunks, Buffer.of(0)]),
    length: stocks.reduce((sum, { length }) => sum + length, 0),
    dictionarySize: stocks[0]!.dictionarySize,
  }
}
