/** The pieces of an .xz: numbers, stream headers and footers, block headers, indexes. Files come from `xz`. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { FleetsieError } from '../../../../lib/errors.ts'
import { blockHeader, parseBlockHeader } from '../../../../lib/formats/xz/block-header.ts'
import { checkNames, checkSize, knownCheck } from '../../../../lib/formats/xz/check.ts'
import { withCrc32 } from '../../../../lib/formats/xz/crc32.ts'
import { encodeIndex, padding, parseIndex } from '../../../../lib/formats/xz/index-field.ts'
import {
  parseStreamFooter,
  parseStreamHeader,
  streamFooter,
  streamHeader,
} from '../../../../lib/formats/xz/stream.ts'
import { decodeVli, encodeVli } from '../../../../lib/formats/xz/vli.ts'

const data = Buffer.from('a block of an image '.repeat(500))
/** The LZMA2 filter with the dictionary of `xz -6`. */
const lzma2 = { count: 1, bytes: Uint8Array.of(0x21, 1, 0x16) }

function xz(args: readonly string[], input: Buffer): Buffer {
  const { status, stdout, stderr } = spawnSync('xz', args, { input, maxBuffer: 1 << 28 })
  assert.equal(status, 0, stderr.toString())
  return stdout
}

function code(expected: string, place?: string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof FleetsieError, String(error))
    assert.equal(error.code, expected, error.message)
    if (place !== undefined) assert.match(error.message, new RegExp(`${place}\\)$`))
    return true
  }
}

test('a number comes back as it went in', () => {
  for (const value of [0, 1, 127, 128, 300, 16_383, 16_384, 2 ** 32, 2 ** 35 + 5, Number.MAX_SAFE_INTEGER]) {
    const bytes = Uint8Array.from([0xff, ...encodeVli(value), 0xff])
    assert.deepEqual(decodeVli(bytes, 1, 0), { value, next: bytes.length - 1 })
  }
})

const badNumbers = [
  { name: 'cut off', bytes: [0x80], error: 'E_DAMAGED', place: 'byte 41' },
  { name: 'with a needless zero at its end', bytes: [0x80, 0], error: 'E_DAMAGED', place: 'byte 41' },
  { name: 'of ten bytes', bytes: [...Array(9).fill(0x80), 1], error: 'E_DAMAGED', place: 'byte 40' },
  { name: 'of 2^53', bytes: [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10], error: 'E_UNSUPPORTED' },
]
for (const { name, bytes, error, place } of badNumbers) {
  test(`a number ${name} is refused`, () => {
    assert.throws(() => decodeVli(Uint8Array.from(bytes), 0, 40), code(error, place))
  })
}

test('a number that no file can hold is not written', () => {
  for (const value of [-1, 0.5, 2 ** 53]) assert.throws(() => encodeVli(value), code('E_UNSUPPORTED'))
})

for (const [id, name] of Object.entries(checkNames)) {
  test(`xz takes an empty stream of ours with check ${name}, and ours are its bytes`, () => {
    const index = encodeIndex([])
    const stream = Buffer.concat([streamHeader(+id), index, streamFooter(+id, index.length)])
    assert.deepEqual(stream, xz(['-c', `--check=${name}`], Buffer.alloc(0)))
    assert.deepEqual(parseStreamHeader(stream, 0), { check: +id })
    assert.deepEqual(parseStreamFooter(stream.subarray(-12), 0), { check: +id, indexSize: index.length })
  })
}

test('a reserved check is known by its size, but not written', () => {
  for (const id of [2, 3, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15]) {
    assert.ok(checkSize(id) >= 4)
    assert.throws(() => knownCheck(id), code('E_UNSUPPORTED'))
    assert.throws(() => streamHeader(id), code('E_UNSUPPORTED'))
    const header = Buffer.concat([streamHeader(1).subarray(0, 6), withCrc32(Uint8Array.of(0, id))])
    assert.deepEqual(parseStreamHeader(header, 0), { check: id })
  }
  assert.throws(() => checkSize(16), code('E_UNSUPPORTED'))
})

test('reserved bits in the stream flags are refused', () => {
  for (const flags of [
    [1, 4],
    [0, 0x14],
    [0x80, 4],
  ] as const) {
    const field = withCrc32(Uint8Array.from(flags))
    const header = Buffer.concat([streamHeader(4).subarray(0, 6), field])
    assert.throws(() => parseStreamHeader(header, 0), code('E_UNSUPPORTED', 'byte 6'))
  }
})

test('any flipped bit of a stream header or footer is found', () => {
  for (const bytes of [streamHeader(4), streamFooter(4, 64)]) {
    const parse = bytes[0] === 0xfd ? parseStreamHeader : parseStreamFooter
    parse(bytes, 0)
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      assert.throws(() => parse(flipped(bytes, bit), 0), code('E_DAMAGED'))
    }
    for (let length = 0; length < bytes.length; length++) {
      assert.throws(() => parse(bytes.subarray(0, length), 7), code('E_DAMAGED', `byte ${7 + length}`))
    }
  }
})

const chains = [
  { name: 'LZMA2', args: ['--lzma2=preset=6'] },
  { name: 'x86 BCJ and LZMA2', args: ['--x86', '--lzma2'] },
  { name: 'delta and LZMA2', args: ['--delta=dist=4', '--lzma2=dict=1MiB'] },
  { name: 'BCJ with a start offset, delta and LZMA2', args: ['--arm=start=4096', '--delta', '--lzma2'] },
  { name: 'four filters', args: ['--x86', '--arm', '--delta=dist=256', '--lzma2'] },
]
for (const { name, args } of chains) {
  test(`a block header with ${name} gets sizes, and xz still decodes the block`, () => {
    const file = xz(['-c', '-T1', ...args], data)
    const { indexSize } = parseStreamFooter(file.subarray(-12), 0)
    const [record] = parseIndex(file.subarray(-12 - indexSize, -12), 0)
    const old = parseBlockHeader(file.subarray(12), 12)
    assert.equal(old.compressedSize, undefined)
    const body = file.subarray(12 + old.size, -12 - indexSize)
    const header = blockHeader({
      compressedSize: record!.unpadded - old.size - 8,
      uncompressedSize: data.length,
      filters: old.filters,
    })
    const index = encodeIndex([{ ...record!, unpadded: record!.unpadded - old.size + header.length }])
    const footer = streamFooter(4, index.length)
    assert.deepEqual(xz(['-dc'], Buffer.concat([streamHeader(4), header, body, index, footer])), data)
    assert.deepEqual(parseBlockHeader(header, 0), {
      size: header.length,
      compressedSize: record!.unpadded - old.size - 8,
      uncompressedSize: data.length,
      filters: old.filters,
    })
    // Without sizes it is what xz wrote.
    assert.deepEqual(blockHeader({ filters: old.filters }), file.subarray(12, 12 + old.size))
  })
}

test('block headers that threads of xz wrote are read with their sizes', () => {
  const file = xz(['-c', '-T2', '--block-size=4000'], data)
  const header = parseBlockHeader(file.subarray(12), 12)
  assert.equal(header.uncompressedSize, 4000)
  assert.deepEqual(header.filters, { ...lzma2, bytes: header.filters.bytes })
})

test('any flipped bit of a block header is found, and any cut', () => {
  const header = blockHeader({ compressedSize: 70_000, uncompressedSize: 2 ** 40, filters: lzma2 })
  const followed = Buffer.concat([header, Buffer.alloc(1024)])
  parseBlockHeader(followed, 0)
  for (let bit = 0; bit < header.length * 8; bit++) {
    assert.throws(() => parseBlockHeader(flipped(followed, bit), 0), code('E_DAMAGED'))
  }
  for (let length = 0; length < header.length; length++) {
    assert.throws(
      () => parseBlockHeader(header.subarray(0, length), 9),
      code('E_DAMAGED', `byte ${9 + length}`),
    )
  }
})

const badHeaders = [
  { name: 'reserved flags', body: [2, 0x04, 0x21, 1, 0x16, 0, 0, 0], error: 'E_UNSUPPORTED' },
  { name: 'padding that is not zero', body: [2, 0, 0x21, 1, 0x16, 0, 9, 0], error: 'E_UNSUPPORTED' },
  { name: 'no compressed data', body: [2, 0x40, 0, 0x21, 1, 0x16, 0, 0], error: 'E_DAMAGED' },
  { name: 'a filter that runs past it', body: [2, 0, 0x21, 9, 0x16, 0, 0, 0], error: 'E_DAMAGED' },
  { name: 'fewer filters than it says', body: [2, 3, 0x21, 1, 0x16, 0x21, 1, 0x16], error: 'E_DAMAGED' },
]
for (const { name, body, error } of badHeaders) {
  test(`a block header with ${name} is refused though its CRC32 is right`, () => {
    assert.throws(() => parseBlockHeader(withCrc32(Uint8Array.from(body)), 0), code(error))
  })
}

test('an index comes back as it went in', () => {
  for (const count of [0, 1, 2, 3, 4, 200]) {
    const records = Array.from({ length: count }, (_, i) => ({
      unpadded: 5 + i * 131,
      uncompressed: i * 70_001,
    }))
    const index = encodeIndex(records)
    assert.equal(padding(index.length), 0)
    assert.deepEqual(parseIndex(index, 0), records)
  }
})

test('any flipped bit of an index is found, and any cut', () => {
  const index = encodeIndex([
    { unpadded: 1000, uncompressed: 70_000 },
    { unpadded: 55, uncompressed: 3 },
  ])
  for (let bit = 0; bit < index.length * 8; bit++) {
    assert.throws(() => parseIndex(flipped(index, bit), 0), code('E_DAMAGED'))
  }
  for (let length = 0; length < index.length; length++) {
    assert.throws(() => parseIndex(index.subarray(0, length), 0), code('E_DAMAGED'))
  }
})

const badIndexes = [
  { name: 'more records than it can hold', body: [0, 0xff, 0xff, 0xff, 0xff, 0x7f, 0, 0] },
  { name: 'a block smaller than any', body: [0, 1, 4, 9] },
  { name: 'four bytes of padding', body: [0, 1, 20, 9, 0, 0, 0, 0] },
  { name: 'padding that is not zero', body: [0, 1, 20, 0x89, 1, 0, 0, 1] },
]
for (const { name, body } of badIndexes) {
  test(`an index with ${name} is refused though its CRC32 is right`, () => {
    assert.throws(() => parseIndex(withCrc32(Uint8Array.from(body)), 0), code('E_DAMAGED'))
  })
}

test('what the format has no room for is not written', () => {
  assert.throws(() => blockHeader({ compressedSize: 0, filters: lzma2 }), code('E_UNSUPPORTED'))
  assert.throws(
    () => blockHeader({ filters: { count: 1, bytes: new Uint8Array(1024) } }),
    code('E_UNSUPPORTED'),
  )
  for (const size of [0, 4, 6, 2 ** 34 + 4]) assert.throws(() => streamFooter(4, size), code('E_UNSUPPORTED'))
})

function flipped(bytes: Uint8Array, bit: number): Buffer {
  const copy = Buffer.from(bytes)
  copy[bit >> 3]! ^= 1 << (bit & 7)
  return copy
}
