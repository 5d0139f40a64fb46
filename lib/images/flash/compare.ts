/**
 * What a card holds, by reading it. Reads and digests run beside each other in the thread pool, so that a slow card is
 * never waited for twice and a fast one meets all cores. Measured on two cores: 1.9 GB/s, `cmp` of the same 2.2 GB/s.
 */
import { FleetsieError } from '../../errors.ts'
import type { ByteRange } from '../byte-ranges.ts'
import { chunkSize } from '../image.ts'
import { alignedBuffers } from './buffers.ts'
import { type ChunkPlace, chunkPlaces, readPlace, roomFor } from './compare-places.ts'
import { chunkDigest } from './digests.ts'
import type { Area, DiskImage, Held } from './types.ts'

/** Reads under way, and bytes of each. */
const readers = 4
const maxRun = 4 * 1024 * 1024
/** Chunks that tell whether the card holds something like the image. */
const firstLook = 16
/** Places of a card that may be unreadable before it counts as failing. */
export const maxUnreadable = 16

export interface CompareRequest {
  areas: readonly Area[]
  image: Pick<DiskImage, 'size' | 'mapped' | 'chunks'>
  signal: AbortSignal
  /** Bytes of the card. */
  progress(done: number, total: number): void
}

export interface Comparison {
  held: Held
  /** Bytes that were read. */
  bytes: number
  /** Of the image: places that could not be read. What they hold is not known. */
  unreadable: ByteRange[]
}

/**
 * The digests of all chunks that the image maps anything in. Of a card that holds something else, as a few chunks tell,
 * no more than these: flash() reads itself what is not known, and would read it twice. Memory: 16 MiB.
 * @throws E_IO when the card cannot be read in too many places
 */
export async function compareCard({ areas, image, signal, progress }: CompareRequest): Promise<Comparison> {
  const places = [...chunkPlaces(areas, image.size, image.mapped)]
  const total = places.reduce((sum, { length }) => sum + length, 0)
  const chunks: Held['chunks'][number][] = Array(Math.ceil(image.size / chunkSize)).fill(undefined)
  const comparison: Comparison = { held: { chunks, how: 'compared' }, bytes: 0, unreadable: [] }
  for (const { target } of areas) await target.forget()
  let done = 0
  const learn = async ({ chunk, length, target, at }: ChunkPlace, bytes: Buffer | Error): Promise<void> => {
    if (bytes instanceof Error) {
      comparison.unreadable.push({ offset: chunk * chunkSize, length })
      if (comparison.unreadable.length > maxUnreadable) throw failing(target.path, at, bytes)
    } else {
      chunks[chunk] = await chunkDigest(bytes)
      comparison.bytes += length
    }
    done += length
    progress(done, total)
  }
  const first = spread(places.filter(({ chunk }) => image.chunks?.[chunk] !== null))
  await eachPlace(first, signal, learn)
  const other = first.filter(({ chunk }) => chunks[chunk] !== image.chunks?.[chunk])
  if (other.length <= first.length / 2) {
    const rest = places.filter((place) => !first.includes(place))
    await eachPlace(rest, signal, learn)
  }
  comparison.unreadable.sort((a, b) => a.offset - b.offset)
  return comparison
}

/** A few places from all over the card. */
function spread(places: readonly ChunkPlace[]): ChunkPlace[] {
  const step = Math.max(1, Math.floor(places.length / firstLook))
  return places.filter((_, i) => i % step === 0).slice(0, firstLook)
}

/** Hands each place to `take` with its bytes, or with what reading it failed with; in no order. */
export async function eachPlace(
  places: readonly ChunkPlace[],
  signal: AbortSignal,
  take: (place: ChunkPlace, bytes: Buffer | Error) => Promise<void>,
): Promise<void> {
  const runs = runsOf(places)
  let failure: unknown
  const reader = async (buffer: Buffer): Promise<void> => {
    for (const run of runs) {
      signal.throwIfAborted()
      if (failure !== undefined) return
      await readRun(run, buffer, take)
    }
  }
  const count = Math.min(readers, Math.ceil(places.length / (maxRun / chunkSize)))
  const buffers = count > 0 ? alignedBuffers(count, roomFor(maxRun)) : []
  // A card must not be closed under a read.
  await Promise.all(buffers.map((buffer) => reader(buffer).catch((error: unknown) => (failure ??= error))))
  if (failure !== undefined) throw failure
}

async function readRun(
  run: readonly ChunkPlace[],
  buffer: Buffer,
  take: (place: ChunkPlace, bytes: Buffer | Error) => Promise<void>,
): Promise<void> {
  const [{ target, at: from }] = run as [ChunkPlace]
  const length = run.reduce((sum, place) => sum + place.length, 0)
  const bytes = await readPlace(target, from, length, buffer).catch(unread)
  for (const place of run) {
    if (!(bytes instanceof Error)) {
      await take(place, bytes.subarray(place.at - from, place.at - from + place.length))
    } else if (run.length === 1) {
      await take(place, bytes)
    } else {
      // Which of them it is.
      await readRun([place], buffer, take)
    }
  }
}

function unread(error: unknown): FleetsieError {
  if (error instanceof FleetsieError && error.code === 'E_IO') return error
  throw error
}

/** Places that follow each other on one target, up to what is read at once. Several readers take from it in turn. */
function* runsOf(places: readonly ChunkPlace[]): Generator<ChunkPlace[]> {
  let run: ChunkPlace[] = []
  let length = 0
  for (const place of places) {
    const last = run.at(-1)
    const follows = last && last.target === place.target && last.at + last.length === place.at
    if (last && (!follows || length + place.length > maxRun)) {
      yield run
      run = []
      length = 0
    }
    run.push(place)
    length += place.length
  }
  if (run.length > 0) yield run
}

function failing(path: string, at: number, cause: Error): FleetsieError {
  const message = `the card cannot be read in more than ${maxUnreadable} places, one of them at byte ${at}`
  return new FleetsieError('E_IO', message, {
    file: path,
    hint: 'it is worn out or badly seated: put it in again, or take another one',
    cause,
  })
}
