/**
 * Reads of any ranges of an image, by whole chunks. Those of small reads are kept for a while: its table, superblocks and
 * first sectors are asked for by several parts of a flash, and each time a program would have to decode them.
 */
import type { ByteRange } from '../byte-ranges.ts'
import { chunkSize } from '../image.ts'
import { BufferPool } from './buffers.ts'
import type { DiskImage } from './types.ts'

const maxKept = 16
/** Chunks of a read that is small. */
const small = 4
/** More than chunks are hashed ahead. */
const readAhead = 6

export class KeptChunks {
  readonly #image: Pick<DiskImage, 'readChunks'>
  readonly #kept = new Map<number, Buffer>()

  constructor(image: Pick<DiskImage, 'readChunks'>) {
    this.#image = image
  }

  async *read(
    ranges: readonly ByteRange[],
    signal: AbortSignal,
  ): AsyncGenerator<{ at: number; bytes: Buffer }> {
    const indexes = chunksIn(ranges)
    let next = 0
    for await (const { index, bytes } of this.#chunks(indexes, signal)) {
      const start = index * chunkSize
      const end = start + bytes.length
      for (; next < ranges.length; next++) {
        const { offset, length } = ranges[next]!
        if (offset >= end) break
        const at = Math.max(offset, start)
        yield { at, bytes: bytes.subarray(at - start, Math.min(offset + length, end) - start) }
        if (offset + length > end) break
      }
    }
  }

  async *#chunks(
    indexes: readonly number[],
    signal: AbortSignal,
  ): AsyncGenerator<{ index: number; bytes: Buffer }> {
    if (indexes.length > small) {
      const pool = new BufferPool(readAhead, chunkSize)
      for await (const { index, bytes, buffer } of this.#image.readChunks(indexes, pool, signal)) {
        yield { index, bytes }
        pool.give(buffer)
      }
      return
    }
    const missing = indexes.filter((index) => !this.#kept.has(index))
    if (missing.length > 0) {
      const pool = new BufferPool(missing.length, chunkSize)
      for await (const { index, bytes } of this.#image.readChunks(missing, pool, signal)) {
        this.#kept.set(index, bytes)
      }
    }
    const found = indexes.map((index) => ({ index, bytes: this.#kept.get(index)! }))
    for (const index of this.#kept.keys()) {
      if (this.#kept.size <= maxKept) break
      this.#kept.delete(index)
    }
    yield* found
  }
}

/** Each once, ascending. */
function chunksIn(ranges: readonly ByteRange[]): number[] {
  const indexes = new Set<number>()
  for (const { offset, length } of ranges) {
    for (let i = Math.floor(offset / chunkSize); i * chunkSize < offset + length; i++) indexes.add(i)
  }
  return [...indexes]
}
