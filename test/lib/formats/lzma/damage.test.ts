/** Damaged payloads: refused, or what `xz` makes of them as well. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { FleetsieError } from '../../../../lib/errors.ts'
import { type Recoded, recodeBlock } from '../../../../lib/formats/lzma/recode.ts'
import { binary, mixture, noise, numbers, text } from '../../../helpers/sample-data.ts'
import { program, type StockBlock, stockBlock, xzOf } from '../../../helpers/xz-blocks.ts'

const cases = 300

type Damage = (payload: Buffer, next: (limit: number) => number) => Buffer

const damages: [title: string, damage: Damage][] = [
  ['one bit flipped', (payload, next) => changed(payload, next(payload.length), 1 << next(8))],
  ['a bit of the first bytes flipped', (payload, next) => changed(payload, next(40), 1 << next(8))],
  ['one byte changed', (payload, next) => changed(payload, next(payload.length), 1 + next(255))],
  [
    'bytes taken out',
    (payload, next) => spliced(payload, next(payload.length), 1 + next(20), Buffer.alloc(0)),
  ],
  [
    'bytes put in',
    (payload, next) => spliced(payload, next(payload.length), 0, noise(1 + next(20), next(99))),
  ],
  ['its end cut off', (payload, next) => payload.subarray(0, next(payload.length))],
  ['something after its end', (payload, next) => Buffer.concat([payload, noise(1 + next(9), next(99))])],
  ['noise in its middle', (payload, next) => spliced(payload, next(payload.length), 50, noise(50, next(99)))],
]

for (const [title, damage] of damages) {
  test(`a payload with ${title} is refused, or decodes as xz decodes it`, async () => {
    const stocks = await samples
    const next = numbers(title.length)
    let refused = 0
    for (let i = 0; i < cases / damages.length; i++) {
      const stock = stocks[i % stocks.length]!
      const payload = damage(stock.payload, next)
      const from = next(stock.length - 1)
      const to = from + 1 + next(stock.length - from)
      const recoded = recode({ ...stock, payload }, from, to)
      if (!recoded) refused++
      else assertSame(recoded, { ...stock, payload }, from, to)
    }
    assert.ok(refused > 0)
  })
}

const lies: [title: string, bytes: number[], length: number][] = [
  ['nothing', [], 0],
  ['no end marker', [1, 0, 0, 65], 1],
  ['a first chunk that does not reset the dictionary', [2, 0, 0, 65, 0], 1],
  ['a first LZMA chunk without properties', [1, 0, 0, 65, 0x80, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0], 2],
  ['impossible properties', [0xe0, 0, 0, 0, 4, 225, 0, 0, 0, 0, 0, 0], 1],
  ['more literal bits than LZMA2 has', [0xe0, 0, 0, 0, 4, 8, 0, 0, 0, 0, 0, 0], 1],
  ['a kind of chunk that there is not', [3, 0, 0, 65, 0], 1],
  ['a chunk too short for the range coder', [0xe0, 0, 0, 0, 3, 93, 0, 0, 0, 0, 0], 1],
  ['a match before the first byte', [0xe0, 0, 1, 0, 4, 93, 0, 255, 255, 255, 252, 0], 2],
  ['chunks for less than its length', [1, 0, 0, 65, 0], 2],
  ['chunks for more than its length', [1, 0, 1, 65, 66, 0], 1],
]
for (const [title, bytes, length] of lies) {
  test(`a payload with ${title} is refused`, () => {
    const request = { payload: Uint8Array.from(bytes), length, dictionarySize: 4096, ranges: [] }
    assert.throws(() => recodeBlock(request), isDamaged)
  })
}

test('a block that claims to be huge takes no memory', () => {
  const payload = Uint8Array.of(1, 0, 0, 65, 0)
  const claim = (length: number) => () =>
    recodeBlock({ payload, length, dictionarySize: 4096, ranges: [{ from: 0, to: length }] })
  assert.throws(claim(200_000_000), isDamaged)
  assert.throws(claim(2 ** 40), (error) => error instanceof FleetsieError && error.code === 'E_UNSUPPORTED')
})

const samples: Promise<StockBlock[]> = Promise.all([
  stockBlock(text(30_000)),
  stockBlock(binary(60_000)),
  stockBlock(Buffer.concat([noise(3000), Buffer.alloc(10_000), text(9000), noise(70_000)])),
  stockBlock(mixture(8), ['--lzma2=preset=1,dict=64KiB']),
])

function changed(payload: Buffer, at: number, bits: number): Buffer {
  const bytes = Buffer.from(payload)
  bytes[at]! ^= bits
  return bytes
}

function spliced(payload: Buffer, at: number, remove: number, added: Buffer): Buffer {
  return Buffer.concat([payload.subarray(0, at), added, payload.subarray(at + remove)])
}

function isDamaged(error: unknown): boolean {
  assert.ok(error instanceof FleetsieError, String(error))
  assert.equal(error.code, 'E_DAMAGED', error.message)
  assert.match(error.message, /\(byte \d+\)$/)
  return true
}

function recode(stock: StockBlock, from: number, to: number): Recoded | undefined {
  try {
    return recodeBlock({ ...stock, ranges: [{ from, to }] })
  } catch (error) {
    isDamaged(error)
    return undefined
  }
}

function assertSame({ payloads, data }: Recoded, stock: StockBlock, from: number, to: number): void {
  const { payload, length, dictionarySize } = stock
  const args = ['-dc', '--format=raw', `--lzma2=dict=${dictionarySize}`]
  const { stdout } = spawnSync('xz', args, { input: payload, maxBuffer: 1 << 28 })
  assert.ok(stdout.subarray(0, length).equals(data))
  const block = { payload: payloads[0]!, length: to - from, dictionary: dictionarySize }
  assert.ok(program('xz', ['-dc'], xzOf([block])).equals(data.subarray(from, to)))
}
