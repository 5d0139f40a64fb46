/** Makes one payload of one range of a block, while the block is decoded. */
import type { Chunk } from './chunks.ts'
import type { Decoder } from './decoder.ts'
import { equalBytes, Finder } from './finder.ts'
import { maxMatch, minMatch } from './model.ts'
import { PayloadWriter } from './payload-writer.ts'

/** Bytes [from, to) of a block. */
export interface Range {
  from: number
  to: number
}

export class RangeRecoder {
  private readonly payload: Uint8Array
  private readonly decoder: Decoder
  private readonly dictionarySize: number
  private readonly range: Range
  /** Where the dictionary of the new payload begins. */
  private base: number
  /** The stock's payload up to here is taken over. */
  private copied = 0
  private writer: PayloadWriter | undefined
  private finder: Finder | undefined

  constructor(payload: Uint8Array, decoder: Decoder, dictionarySize: number, range: Range) {
    this.payload = payload
    this.decoder = decoder
    this.dictionarySize = dictionarySize
    this.range = range
    this.base = range.from
  }

  /** Says that the decoder begins a chunk that holds something of the range. */
  begin(chunk: Chunk): void {
    const { from, to } = this.range
    // From the block's start on, chunks decode to the same wherever they stand.
    if (from === 0 && chunk.to <= to) {
      this.copied = chunk.end
      return
    }
    if (from === 0) {
      this.base = this.decoder.dictionaryStart
      this.writer = new PayloadWriter(this.decoder.bytes, this.base)
      this.writer.copy(this.payload.subarray(0, this.copied))
      this.writer.resume(this.decoder, chunk)
    }
    this.writer ??= new PayloadWriter(this.decoder.bytes, from)
    if (chunk.stored) this.writer.store(Math.max(from, chunk.from), Math.min(to, chunk.to))
    else this.writer.use(Math.max(from, chunk.from), chunk.properties!)
  }

  /** Takes the first `count` symbols that the decoder found last, which began at `start`. */
  take(start: number, count: number): void {
    const { writer, base } = this
    if (!writer) return
    const { encoder } = writer
    const { lengths, distances } = this.decoder
    const { from, to } = this.range
    let next = start
    for (let i = 0; i < count; i++) {
      const symbolStart = next
      next += lengths[i]!
      if (next <= from) continue
      if (symbolStart >= to) break
      const distance = distances[i]!
      if (distance === 0) {
        writer.room(symbolStart, 1)
        encoder.literal(symbolStart)
        continue
      }
      const end = Math.min(next, to)
      let at = Math.max(symbolStart, from)
      if (distance > at - base) {
        const known = Math.min(end, base + distance)
        this.replace(writer, at, known)
        at = known
      }
      if (at < end) this.match(writer, at, end - at, distance)
    }
  }

  /** The range is decoded to its end. */
  finish(): Buffer {
    if (!this.writer) return Buffer.concat([this.payload.subarray(0, this.copied), Uint8Array.of(0)])
    return this.writer.finish(this.range.to)
  }

  private match(writer: PayloadWriter, at: number, length: number, distance: number): void {
    writer.room(at, length)
    if (length === 1) writer.encoder.single(at)
    else writer.encoder.match(at, length, distance)
  }

  /** For bytes whose source lies before the range: matches within it, or literals. */
  private replace(writer: PayloadWriter, start: number, end: number): void {
    const { bytes } = this.decoder
    this.finder ??= new Finder(bytes, this.range.from, this.range.to)
    for (let at = start; at < end; ) {
      const most = Math.min(end, at + maxMatch)
      let distance = this.finder.find(at, most, this.dictionarySize)
      let { length } = this.finder
      // One of the last distances takes so few bits that a byte less is still a gain.
      let longest = Math.max(minMatch, length - 1) - 1
      for (let which = 0; which < 4; which++) {
        const last = writer.encoder.lastDistance(which)
        const equal = last <= at - this.base ? equalBytes(bytes, at, last, most) : 0
        if (equal <= longest) continue
        longest = length = equal
        distance = last
      }
      length = Math.max(1, length)
      this.match(writer, at, length, distance)
      at += length
    }
  }
}
