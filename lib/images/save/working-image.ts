/**
 * The raw image that `save` edits: copied once, kept between runs and put back to its beginning after each, so that an
 * edit costs what it touches.
 */
import { createHash } from 'node:crypto'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { BuildContext, Digest, Input } from '../../engine/stage.ts'
import { touchedGrain } from '../../formats/xz/cut.ts'
import type { ByteRange } from '../byte-ranges.ts'
import { copyDisk } from '../copy-disk.ts'
import { differingPieces } from '../differing-pieces.ts'
import { diskName, type ImageManifest } from '../image.ts'
import { type PartitionTable, readPartitionTable } from '../partitions.ts'
import { makeGrownBase } from './grown-base.ts'
import { mappedRanges } from './mapped-ranges.ts'
import { putBack } from './put-back.ts'
import { type ChangedPiece, RangeSums } from './range-sums.ts'
import { type Grown, readState, type WorkingState, writeState } from './working-state.ts'

const baseName = 'base.img'

/** With what the layers of a run begin. Runs for which it is the same share a working image. */
export interface Beginning {
  image: Input
  manifest: ImageManifest
  table: { digest: Digest; content: PartitionTable }
  /** Bytes that the image has in the end, and seconds since 1970, for the superblock. */
  grow?: { to: number; epoch: number } | undefined
}

type Context = Omit<BuildContext<unknown>, 'options'>

/** Hands `use` the working image as it begins, and puts back afterwards what `use` told it. When that fails, it is thrown away. */
export async function withWorkingImage<T>(
  context: Context,
  beginning: Beginning,
  use: (image: WorkingImage) => Promise<T>,
): Promise<T> {
  return context.carry(lineageOf(beginning), async (folder) => {
    const image = await WorkingImage.open(context, folder, beginning)
    try {
      const result = await use(image)
      await image.end()
      return result
    } finally {
      await image.sums.idle()
    }
  })
}

function lineageOf({ image, table, grow }: Beginning): string {
  const parts = grow ? [image.digest, table.digest, grow.to, grow.epoch] : [image.digest]
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
}

export class WorkingImage {
  /** The raw image to edit. */
  readonly disk: string
  /** What it is a copy of: not to be written to. */
  readonly base: string
  readonly table: PartitionTable
  /** Partitions that passed their checkers before any edit. */
  readonly sound: Set<number>
  readonly sums: RangeSums
  readonly #folder: string
  readonly #stock: string
  readonly #grown: Grown
  readonly #manifest: ImageManifest
  #changed: ChangedPiece[] = []

  private constructor(
    place: { folder: string; stock: string; base: string; table: PartitionTable },
    manifest: ImageManifest,
    state: WorkingState,
  ) {
    this.disk = join(place.folder, diskName)
    this.base = place.base
    this.table = place.table
    this.sound = new Set(state.sound)
    this.sums = new RangeSums(state.sums)
    this.#folder = place.folder
    this.#stock = place.stock
    this.#grown = state.grown
    this.#manifest = manifest
  }

  static async open(context: Context, folder: string, beginning: Beginning): Promise<WorkingImage> {
    const { image, manifest, table, grow } = beginning
    const stock = join(image.path, diskName)
    const base = grow ? join(folder, baseName) : stock
    const found = await readState(folder, grow ? [diskName, baseName] : [diskName])
    if (found === 'changed') {
      context.note('the working image was changed by somebody else: it is thrown away and made anew')
    }
    const known = found === 'changed' ? undefined : found
    if (known === undefined) await empty(folder)
    const { run, tmp, signal } = context
    const grown =
      known?.grown ??
      (grow
        ? await makeGrownBase(base, { run, stock, table: table.content, ...grow, tmp, signal })
        : { pieces: [], chunks: [] })
    const place = {
      folder,
      stock,
      base,
      table: grow ? await readPartitionTable(base, context.warn) : table.content,
    }
    const made = new WorkingImage(place, manifest, known ?? { sound: [], sums: [], grown })
    if (known === undefined) {
      context.log('making a working image')
      // While this process waits for others, it can as well hash.
      made.sums.learn(base, () => mappedRanges(base, place.table), signal)
      await copyDisk(run, base, made.disk).catch(async (error: unknown) => {
        await made.sums.idle()
        throw error
      })
    }
    return made
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
    for await (const { index } of differingPieces(this.disk, this.#stock, both, signal)) pieces[index] = 1
    return (offset, length) => {
      const first = Math.floor(offset / touchedGrain)
      const last = Math.floor((offset + length - 1) / touchedGrain)
      return pieces.subarray(first, last + 1).includes(1)
    }
  }

  /** Puts back what was changed and notes what the next run can use. */
  async end(): Promise<void> {
    const grown = new Map(this.#grown.chunks)
    const chunkSum = (chunk: number): string | null => {
      const own = grown.get(chunk)
      return own === undefined ? (this.#manifest.chunks[chunk] ?? null) : own
    }
    const indices = this.#changed.map(({ index }) => index)
    await putBack(this.disk, this.base, indices, chunkSum)
    const files = this.base === this.#stock ? [diskName] : [diskName, baseName]
    await writeState(this.#folder, files, {
      sound: [...this.sound].sort((a, b) => a - b),
      sums: [...this.sums.kept],
      grown: this.#grown,
    })
  }
}

async function empty(folder: string): Promise<void> {
  for (const name of await readdir(folder)) await rm(join(folder, name), { recursive: true })
}
