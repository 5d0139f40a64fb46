/** The raw image that `save` edits and puts back to its beginning, so that an edit costs what it touches. */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { bmapBlockSize } from '../../formats/bmap.ts'
import { touchedGrain } from '../../formats/xz/cut.ts'
import type { ByteRange } from '../byte-ranges.ts'
import { chunksOf } from '../chunk-digests.ts'
import { differingPieces } from '../differing-pieces.ts'
import { chunkSize, diskName, type ImageManifest } from '../image.ts'
import type { PartitionTable } from '../partitions.ts'
import { putBack } from './put-back.ts'
import { type ChangedPiece, RangeSums } from './range-sums.ts'
import { type Grown, type WorkingState, writeState } from './working-state.ts'

/** The grown image that edits begin with, beside the working image. */
export const baseName = 'base.img'

interface Place {
  /** The carried folder. */
  folder: string
  /** The image in the store, and its manifest. */
  stock: string
  manifest: ImageManifest
  /** What the working image is a copy of: `stock`, or its grown copy. Not to be written to. */
  base: string
  /** The partitions of `base`. */
  table: PartitionTable
}

export class WorkingImage {
  /** The raw image to edit. */
  readonly disk: string
  readonly base: string
  readonly table: PartitionTable
  /** Partitions that passed their checkers before any edit. */
  readonly sound: Set<number>
  readonly sums: RangeSums
  readonly #place: Place
  readonly #grown: Grown
  #changed: ChangedPiece[] = []

  constructor(place: Place, state: WorkingState) {
    this.disk = join(place.folder, diskName)
    this.base = place.base
    this.table = place.table
    this.sound = new Set(state.sound)
    this.sums = new RangeSums(state.sums)
    this.#place = place
    this.#grown = state.grown
  }

  /** Takes note of the pieces that an edit within `ranges` changed; they will be put back. */
  async edited(ranges: readonly ByteRange[], signal: AbortSignal): Promise<readonly ChangedPiece[]> {
    for await (const { index, bytes } of differingPieces(this.disk, this.base, ranges, signal)) {
      this.#changed.push({ index, sha256: createHash('sha256').update(bytes).digest('hex') })
    }
    return this.#changed
  }

  /** Whether a range differs from the stock image, which goes on with zeros after its end. */
  async touched(signal: AbortSignal): Promise<(offset: number, length: number) => boolean> {
    const pieces = new Uint8Array(Math.ceil(this.table.size / touchedGrain))
    for (const index of this.#grown.pieces) pieces[index] = 1
    const both: ByteRange[] = []
    for (const { index } of this.#changed) {
      if (pieces[index] === 1) both.push({ offset: index * touchedGrain, length: touchedGrain })
      pieces[index] = 1
    }
    // An edit may have made of a grown piece what the stock has there.
    for (const { offset } of both) pieces[offset / touchedGrain] = 0
    for await (const { index } of differingPieces(this.disk, this.#place.stock, both, signal))
      pieces[index] = 1
    return (offset, length) => {
      const first = Math.floor(offset / touchedGrain)
      const last = Math.floor((offset + length - 1) / touchedGrain)
      return pieces.subarray(first, last + 1).includes(1)
    }
  }

  /** sha256 of each chunk as the edit left it, null for zeros. Where nothing was changed, nothing is read. */
  async chunks(signal: AbortSignal): Promise<(string | null)[]> {
    const { size } = this.table
    const count = Math.ceil(size / chunkSize)
    const chunks = [...Array(count).keys()].map(this.#chunkAtFirst())
    const changed = chunksOf(this.#changed.map(({ index }) => index))
    const blocks = chunkSize / bmapBlockSize
    const ranges = changed.map((chunk) => ({ first: chunk * blocks, last: (chunk + 1) * blocks - 1 }))
    const sums = await this.sums.of(this.disk, ranges, this.#changed, signal)
    const zeros = zerosDigest(chunkSize)
    const lastZeros = zerosDigest(size - (count - 1) * chunkSize)
    for (const [i, chunk] of changed.entries()) {
      const { sha256 } = sums[i]!
      chunks[chunk] = sha256 === (chunk === count - 1 ? lastZeros : zeros) ? null : sha256
    }
    return chunks
  }

  /** Puts back what was changed and notes what the next run can use. */
  async end(): Promise<void> {
    const indices = this.#changed.map(({ index }) => index)
    await putBack(this.disk, this.base, indices, this.#chunkAtFirst())
    const files = this.base === this.#place.stock ? [diskName] : [diskName, baseName]
    await writeState(this.#place.folder, files, {
      sound: [...this.sound].sort((a, b) => a - b),
      sums: [...this.sums.kept],
      grown: this.#grown,
    })
  }
  /** What a chunk holds before any edit. */
  #chunkAtFirst(): (chunk: number) => string | null {
    const grown = new Map(this.#grown.chunks)
    const { chunks } = this.#place.manifest
    return (chunk) => {
      const own = grown.get(chunk)
      return own === undefined ? (chunks[chunk] ?? null) : own
    }
  }
}

function zerosDigest(length: number): string {
  return createHash('sha256').update(Buffer.alloc(length)).digest('hex')
}
