/**
 * Makes LZMA2 payloads of parts of a block out of the block's own: finding matches is nearly all of an encoder's work,
 * and whoever made the block has done it.
 */
import { FleetsieError } from '../../errors.ts'
import { unsupported } from '../xz/damage.ts'
import { readChunks } from './chunks.ts'
import { decodeSymbols } from './decode-symbols.ts'
import { Decoder } from './decoder.ts'
import { type Range, RangeRecoder } from './range-recoder.ts'

/** A longer block is refused: it is held in memory. */
const maxBlock = 256 * 1024 * 1024

export interface RecodeRequest {
  /** The LZMA2 chunks of a block, from the first control byte to the end marker. */
  payload: Uint8Array
  /** Bytes that they decode to. */
  length: number
  /** The dictionary of the block, in bytes, as its filter says. */
  dictionarySize: number
  /** Parts of those bytes, ascending, none of them empty, none within another. */
  ranges: readonly Range[]
}

export interface Recoded {
  /** For each range an LZMA2 payload that decodes to it and to nothing else. */
  payloads: Buffer[]
  /** What the whole block decodes to, for its check and those of the ranges. */
  data: Uint8Array
}

/**
 * Makes the payloads of the ranges, each for a block of its own with a dictionary of `dictionarySize`, or of the range's
 * length when that is less. The same request gives the same bytes.
 * @throws E_DAMAGED with the place in the payload, E_UNSUPPORTED for a block of more than 256 MiB
 */
export function recodeBlock(request: RecodeRequest): Recoded {
  const { payload, length, dictionarySize, ranges } = request
  if (length > maxBlock) throw unsupported(`a block of ${length} bytes`)
  checkRanges(ranges, length)
  const decoder = new Decoder(payload, length, dictionarySize)
  const waiting = ranges.map((range) => ({
    range,
    recoder: new RangeRecoder(payload, decoder, dictionarySize, range),
  }))
  const payloads: Buffer[] = []
  for (const chunk of readChunks(payload, length)) {
    decoder.begin(chunk)
    for (const { range, recoder } of waiting) {
      if (range.from >= chunk.to) break
      recoder.begin(chunk)
    }
    for (;;) {
      const start = decoder.position
      const count = chunk.stored ? 0 : decodeSymbols(decoder)
      for (const { range, recoder } of waiting) {
        if (range.from >= decoder.position) break
        recoder.take(start, count)
      }
      while (waiting[0] && waiting[0].range.to <= decoder.position) {
        payloads.push(waiting.shift()!.recoder.finish())
      }
      if (decoder.position === chunk.to) break
    }
  }
  return { payloads, data: decoder.bytes }
}

function checkRanges(ranges: readonly Range[], length: number): void {
  let last = 0
  for (const { from, to } of ranges) {
    if (from < last || to <= from || to > length) {
      throw new FleetsieError('E_BUG', `bytes ${from} to ${to} are no range of a block of ${length}`)
    }
    last = to
  }
}
