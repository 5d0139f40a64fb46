/**
 * The chunks of an LZMA2 payload: one control byte, sizes, properties where they change, data.
 * No specification has them (section 5.3.1 of the .xz format only names LZMA2): this is what liblzma's
 * lzma2_decoder.c and XZ Embedded's xz_dec_lzma2.c read.
 */
import { damaged } from '../xz/damage.ts'
import { type Properties, parseProperties } from './model.ts'

/** Bytes that an LZMA chunk may decode to, and have. */
export const maxChunkData = 2 * 1024 * 1024
export const maxChunkSize = 64 * 1024
/** Bytes of a stored chunk's data. */
export const maxStoredData = 64 * 1024

/** What a chunk starts afresh: each includes those before it. */
export const reset = { none: 0, state: 1, properties: 2, dictionary: 3 } as const
export type Reset = (typeof reset)[keyof typeof reset]

export interface Chunk {
  stored: boolean
  /** For a stored chunk, `dictionary` or `none`. */
  reset: Reset
  /** Where its control byte lies, where its data begins, and the end of that, in the payload. */
  at: number
  data: number
  end: number
  /** What it decodes to: bytes [from, to) of the block. */
  from: number
  to: number
  /** Those in force; undefined before the first ones came. */
  properties: Properties | undefined
}

const lzma = 0x80
const storedWithReset = 1
const stored = 2

/**
 * The chunks of a payload that decodes to `length` bytes and ends with its end marker.
 * @throws E_DAMAGED with the place in the payload
 */
export function* readChunks(payload: Uint8Array, length: number): Generator<Chunk> {
  let properties: Properties | undefined
  let needs: Reset = reset.dictionary
  let from = 0
  for (let at = 0; ; ) {
    const control = payload[at]
    if (control === undefined) throw damaged('the compressed data has no end marker', at)
    if (control === 0) {
      if (at + 1 !== payload.length) throw damaged('something follows the end of the compressed data', at + 1)
      if (from !== length) throw damaged(`the block decodes to ${from} bytes instead of ${length}`, at)
      return
    }
    const isStored = control < lzma
    if (isStored && control > stored) throw damaged('there is no such kind of chunk', at)
    const resets = (isStored ? (control === storedWithReset ? 3 : 0) : (control >> 5) & 3) as Reset
    const header = isStored ? 3 : resets >= reset.properties ? 6 : 5
    const sizes = payload.subarray(at, at + header)
    if (sizes.length < header) throw damaged('a chunk header is cut off', payload.length)
    const high = isStored ? 0 : (control & 0x1f) << 16
    const data = high + (sizes[1]! << 8) + sizes[2]! + 1
    const size = isStored ? data : (sizes[3]! << 8) + sizes[4]! + 1
    if (!isStored && resets >= reset.properties) {
      properties = parseProperties(sizes[5]!)
      if (!properties) throw damaged('a chunk has impossible properties', at + 5)
    }
    if (isStored ? needs === reset.dictionary && resets === 0 : resets < needs) {
      throw damaged('a chunk continues what was never begun', at)
    }
    if (!isStored) needs = reset.none
    else if (needs === reset.dictionary || resets === reset.dictionary) needs = reset.properties
    const chunk = { at, data: at + header, end: at + header + size, from, to: from + data }
    if (chunk.end > payload.length) throw damaged('a chunk is cut off', payload.length)
    if (chunk.to > length) throw damaged(`the block decodes to more than its ${length} bytes`, at)
    yield { stored: isStored, reset: resets, ...chunk, properties }
    at = chunk.end
    from = chunk.to
  }
}

/** The header of an LZMA chunk that holds `size` bytes and decodes to `data`. */
export function lzmaHeader(data: number, size: number, resets: Reset, { lc, lp, pb }: Properties): number[] {
  const header = [lzma | (resets << 5) | ((data - 1) >> 16), ...twoBytes(data - 1), ...twoBytes(size - 1)]
  if (resets >= reset.properties) header.push((pb * 5 + lp) * 9 + lc)
  return header
}

export function storedHeader(data: number, first: boolean): number[] {
  return [first ? storedWithReset : stored, ...twoBytes(data - 1)]
}

function twoBytes(value: number): [number, number] {
  return [(value >> 8) & 0xff, value & 0xff]
}
