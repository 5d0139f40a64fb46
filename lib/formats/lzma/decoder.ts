/** What a decoder of LZMA2 chunks knows between two symbols. */
import { damaged } from '../xz/damage.ts'
import { type Chunk, reset } from './chunks.ts'
import { newModel, resetModel } from './model.ts'

/** Symbols decoded at once: few enough to stay in the processor's cache until they are encoded. */
export const symbolsAtOnce = 4096

export class Decoder {
  /** The block; decoded so far up to `position`. */
  readonly bytes: Uint8Array
  position = 0
  /** Where the dictionary was last reset: no match reaches before. */
  dictionaryStart = 0
  /** What `decodeSymbols` found last: bytes that each symbol stands for, and its distance, or 0 for a literal. */
  readonly lengths = new Uint16Array(symbolsAtOnce)
  readonly distances = new Int32Array(symbolsAtOnce)
  readonly model = newModel()
  state = 0
  /** The last four distances, less one each. */
  readonly reps = new Int32Array(4)

  readonly payload: Uint8Array
  readonly dictionarySize: number
  chunk: Chunk | undefined
  /** Where the next byte of the chunk lies. */
  at = 0
  /** Both are unsigned, kept as signed 32-bit numbers: so nothing becomes a float. */
  range = 0
  code = 0

  /** `length`: bytes of the block; `dictionarySize`: how far a match may reach, as the block's filter says. */
  constructor(payload: Uint8Array, length: number, dictionarySize: number) {
    this.payload = payload
    this.bytes = new Uint8Array(length)
    this.dictionarySize = dictionarySize
  }

  /** Turns to the next chunk, of which all before are decoded. A stored one is decoded with that. */
  begin(chunk: Chunk): void {
    this.chunk = chunk
    if (chunk.reset === reset.dictionary) this.dictionaryStart = chunk.from
    if (chunk.stored) {
      this.bytes.set(this.payload.subarray(chunk.data, chunk.end), chunk.from)
      this.position = chunk.to
      return
    }
    if (chunk.reset >= reset.state) {
      resetModel(this.model)
      this.state = 0
      this.reps.fill(0)
    }
    if (chunk.end - chunk.data < 5 || this.payload[chunk.data] !== 0) {
      throw damaged('a chunk does not begin as the range coder does', chunk.data)
    }
    this.range = -1
    this.code = new DataView(this.payload.buffer, this.payload.byteOffset + chunk.data).getInt32(1)
    this.at = chunk.data + 5
  }
}
