/** Blocks of .xz files that `xz` made, taken apart and put together. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { type RecodeRequest, recodeBlock } from '../../lib/formats/lzma/recode.ts'
import { blockHeader, type FilterChain, parseBlockHeader } from '../../lib/formats/xz/block-header.ts'
import { readFileIndex } from '../../lib/formats/xz/file-index.ts'
import { encodeIndex, type IndexRecord } from '../../lib/formats/xz/index-field.ts'
import { lzma2Dictionary } from '../../lib/formats/xz/lzma2-filter.ts'
import { streamFooter, streamHeader } from '../../lib/formats/xz/stream.ts'

export interface StockBlock {
  payload: Buffer
  length: number
  dictionarySize: number
}

export function program(name: string, args: readonly string[], input: Buffer): Buffer {
  const { status, stdout, stderr } = spawnSync(name, args, { input, maxBuffer: 1 << 28 })
  assert.equal(status, 0, `${name}: ${stderr.toString()}`)
  return stdout
}

/** The only block that `xz` makes of `data`. */
export async function stockBlock(data: Buffer, args: readonly string[] = ['-6']): Promise<StockBlock> {
  const file = program('xz', ['-c', '--check=none', ...args], data)
  const index = await readFileIndex(async (at, length) => file.subarray(at, at + length), file.length)
  const [block] = index.blocks
  assert.ok(block && index.blocks.length === 1)
  const header = parseBlockHeader(file.subarray(block.offset), block.offset)
  const dictionarySize = lzma2Dictionary(header.filters)
  assert.ok(dictionarySize !== undefined)
  const payload = file.subarray(block.offset + header.size, block.offset + block.unpadded)
  return { payload, length: block.uncompressed, dictionarySize }
}

/** An .xz with a block without check for each payload. */
export function xzOf(payloads: readonly { payload: Buffer; length: number; dictionary: number }[]): Buffer {
  const records: IndexRecord[] = []
  const blocks = payloads.flatMap(({ payload, length, dictionary }) => {
    const filters = smallestChain(Math.min(dictionary, length))
    const header = blockHeader({ compressedSize: payload.length, uncompressedSize: length, filters })
    records.push({ unpadded: header.length + payload.length, uncompressed: length })
    return [header, payload, Buffer.alloc(-payload.length & 3)]
  })
  const index = encodeIndex(records)
  return Buffer.concat([streamHeader(0), ...blocks, index, streamFooter(0, index.length)])
}

/** Re-codes, and has `xz` decode the payloads: to the ranges of `data`. */
export function recodedAndJudged(data: Buffer, stock: StockBlock, ranges: RecodeRequest['ranges']): Buffer[] {
  const recoded = recodeBlock({ ...stock, ranges })
  const dictionary = stock.dictionarySize
  const blocks = recoded.payloads.map((payload, i) => {
    return { payload, length: ranges[i]!.to - ranges[i]!.from, dictionary }
  })
  const expected = Buffer.concat(ranges.map(({ from, to }) => data.subarray(from, to)))
  assert.ok(program('xz', ['-dc'], xzOf(blocks)).equals(expected), 'xz decodes something else')
  assert.ok(data.equals(recoded.data), 'the data are others')
  return recoded.payloads
}

/** LZMA2 with the smallest dictionary that holds so many bytes. */
function smallestChain(bytes: number): FilterChain {
  for (let size = 0; ; size++) {
    const filters = { count: 1, bytes: Uint8Array.of(0x21, 1, size) }
    if (lzma2Dictionary(filters)! >= bytes) return filters
  }
}
