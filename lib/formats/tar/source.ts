/** Reads a byte stream in pieces of exact size and knows how far it has come. */
import { FleetsieError } from '../../errors.ts'

export class ByteSource {
  readonly #iterator: AsyncIterator<Uint8Array> | Iterator<Uint8Array>
  #rest: Buffer = Buffer.alloc(0)
  /** Bytes taken so far. */
  offset = 0

  constructor(bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>) {
    this.#iterator = Symbol.asyncIterator in bytes ? bytes[Symbol.asyncIterator]() : bytes[Symbol.iterator]()
  }

  /** The next bytes, at most `limit`; nothing at the end. */
  async some(limit: number): Promise<Buffer | undefined> {
    while (this.#rest.length === 0) {
      const next = await this.#iterator.next()
      if (next.done) return undefined
      this.#rest = Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength)
    }
    const piece = this.#rest.subarray(0, limit)
    this.#rest = this.#rest.subarray(piece.length)
    this.offset += piece.length
    return piece
  }

  /** Exactly `length` bytes, or nothing when the stream has ended before the first. E_DAMAGED in between. */
  async exactly(length: number, what: string): Promise<Buffer | undefined> {
    const start = this.offset
    const pieces: Buffer[] = []
    for (let missing = length; missing > 0; ) {
      const piece = await this.some(missing)
      if (piece === undefined) {
        if (pieces.length === 0) return undefined
        throw truncated(`${what} at byte ${start}`, this.offset)
      }
      pieces.push(piece)
      missing -= piece.length
    }
    return pieces.length === 1 ? pieces[0] : Buffer.concat(pieces)
  }

  /** Lets the maker of the stream close its file. */
  async close(): Promise<void> {
    await this.#iterator.return?.()
  }
}

export function truncated(what: string, end: number): FleetsieError {
  return new FleetsieError('E_DAMAGED', `the archive ends at byte ${end}, within ${what}`)
}
