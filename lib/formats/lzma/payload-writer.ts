/** Writes symbols and stored bytes of a block as an LZMA2 payload. */
import {
  type Chunk,
  lzmaHeader,
  maxChunkData,
  maxChunkSize,
  maxStoredData,
  type Reset,
  reset,
  storedHeader,
} from './chunks.ts'
import type { Decoder } from './decoder.ts'
import type { Properties } from './model.ts'
import { Output } from './output.ts'
import { listSize, RangeEncoder } from './range-encoder.ts'
import { mostDecisions, SymbolEncoder } from './symbol-encoder.ts'

/** What `RangeEncoder.finish` writes, and a byte that may be due before it. */
const finishSize = 5
/** A chunk with less room than this is closed. */
const leastRoom = 3 * mostDecisions

export class PayloadWriter {
  readonly encoder: SymbolEncoder
  private readonly bytes: Uint8Array
  private readonly output = new Output()
  private readonly coder = new RangeEncoder(maxChunkSize)
  private properties: Properties | undefined
  private needs: Reset = reset.dictionary
  /** The chunk under way decodes to the bytes from here on. */
  private chunkFrom = 0
  private open = false
  /** Bytes of the block to be stored before that, [storedFrom, storedTo). */
  private storedFrom = 0
  private storedTo = 0
  /** When the list is as long as this, its decisions must be encoded before the next symbol. */
  private listLimit = 0

  /** `base`: where in `bytes`, the block, the dictionary of the payload begins. */
  constructor(bytes: Uint8Array, base: number) {
    this.bytes = bytes
    this.encoder = new SymbolEncoder(bytes, base)
  }

  /** Takes chunks over as they are. Only `resume` or `finish` may follow. */
  copy(chunks: Uint8Array): void {
    this.output.append(chunks)
  }

  /** Goes on after copied chunks where `decoder` stands, with the resets and properties of the chunk that it begins. */
  resume(decoder: Decoder, chunk: Chunk): void {
    this.encoder.resume(decoder.model, decoder.state, decoder.reps)
    this.needs = chunk.reset
    this.setProperties(chunk.properties)
  }

  /** The properties of the symbols from `position` on. */
  use(position: number, properties: Properties): void {
    const now = this.properties
    if (now && now.lc === properties.lc && now.lp === properties.lp && now.pb === properties.pb) return
    this.close(position)
    if (this.needs < reset.properties) this.needs = reset.properties
    this.setProperties(properties)
  }

  /** Makes room for a symbol of `length` bytes at `position`. To be called before each. */
  room(position: number, length: number): void {
    const fits = this.encoder.count < this.listLimit && position + length - this.chunkFrom <= maxChunkData
    if (!fits) this.makeRoom(position, length)
  }

  /** Bytes [from, to) of the block as they are. */
  store(from: number, to: number): void {
    this.close(from)
    if (this.storedTo !== from) this.storedFrom = from
    this.storedTo = to
  }

  /** `end`: where the payload's bytes end. */
  finish(end: number): Buffer {
    this.close(end)
    this.writeStored()
    this.output.append([0])
    return this.output.finish()
  }

  private setProperties(properties: Properties | undefined): void {
    this.properties = properties
    if (properties) this.encoder.use(properties)
  }

  private makeRoom(position: number, length: number): void {
    if (this.open) {
      this.encodeList()
      const left = maxChunkSize - finishSize - this.coder.size
      if (left < leastRoom || position + length - this.chunkFrom > maxChunkData) this.close(position)
    }
    if (!this.open) {
      this.writeStored()
      if (this.needs >= reset.state) this.encoder.reset()
      this.coder.begin()
      this.chunkFrom = position
      this.open = true
    }
    // A decision becomes less than a byte: the least probable one takes 6.1 bits.
    this.listLimit = Math.min(listSize, maxChunkSize - finishSize - this.coder.size) - mostDecisions
  }

  private encodeList(): void {
    const { encoder } = this
    this.coder.encode(encoder.list, encoder.count, encoder.model)
    encoder.count = 0
  }

  /** Ends the chunk under way, if there is one, where its bytes end. */
  private close(end: number): void {
    if (!this.open) return
    this.encodeList()
    this.coder.finish()
    this.open = false
    this.listLimit = 0
    const { size } = this.coder
    if (size >= end - this.chunkFrom) {
      this.store(this.chunkFrom, end)
      return
    }
    const header = lzmaHeader(end - this.chunkFrom, size, this.needs, this.properties!)
    this.output.append(header)
    this.output.append(this.coder.bytes.subarray(0, size))
    this.needs = reset.none
  }

  /** Chunks for what is to be stored: as few as there can be, whatever parts it came in. */
  private writeStored(): void {
    for (let at = this.storedFrom; at < this.storedTo; at += maxStoredData) {
      const end = Math.min(this.storedTo, at + maxStoredData)
      this.output.append(storedHeader(end - at, this.needs === reset.dictionary))
      this.output.append(this.bytes.subarray(at, end))
      if (this.needs === reset.dictionary) this.needs = reset.properties
      // As liblzma's encoder does, though decoders would go on without it.
      if (this.needs < reset.state) this.needs = reset.state
    }
    this.storedFrom = this.storedTo = 0
  }
}
