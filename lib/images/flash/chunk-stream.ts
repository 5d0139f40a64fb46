/** Reads whole chunks of an image, some ahead, and holds each against what is known of it. */
import { FleetsieError } from '../../errors.ts'
import type { ByteRange } from '../byte-ranges.ts'
import { chunkSize } from '../image.ts'
import type { BufferPool } from './buffers.ts'
import { chunkDigest } from './digests.ts'
import type { RangeCheck } from './range-check.ts'
import type { Source } from './source.ts'
import type { Chunk } from './types.ts'

/** Chunks that are hashed while the next ones are read. */
const ahead = 4

export interface ChunkStream {
  source: Source
  /** As messages name the image. */
  name: string
  /** Digests to hold the chunks against. */
  known: readonly (string | null)[] | undefined
  check: RangeCheck | undefined
  /** Hears how long each part was waited for, milliseconds. */
  waited(ms: number): void
}

/** Bytes of chunk `index` of an image of `size` bytes. */
function chunkLength(index: number, size: number): number {
  return Math.min(chunkSize, size - index * chunkSize)
}

/** Runs of chunks as ranges of the disk. */
function chunkRanges(indexes: readonly number[], size: number): ByteRange[] {
  const ranges: ByteRange[] = []
  for (const index of indexes) {
    const offset = index * chunkSize
    const last = ranges.at(-1)
    if (last && last.offset + last.length === offset) last.length += chunkLength(index, size)
    else ranges.push({ offset, length: chunkLength(index, size) })
  }
  return ranges
}

export async function* readChunks(
  { source, name, known, check, waited }: ChunkStream,
  indexes: readonly number[],
  pool: BufferPool,
  signal: AbortSignal,
): AsyncGenerator<Chunk> {
  const { size } = source
  const reader = source.reader(
    chunkRanges(
      indexes.filter((index) => known?.[index] !== null),
      size,
    ),
    signal,
  )
  const pending: Promise<Chunk>[] = []
  try {
    for (const index of indexes) {
      signal.throwIfAborted()
      const buffer = await pool.take()
      const bytes = buffer.subarray(0, chunkLength(index, size))
      if (known?.[index] === null) bytes.fill(0)
      else {
        const since = performance.now()
        await named(name, reader.fill(bytes, index * chunkSize))
        waited(performance.now() - since)
      }
      check?.take(index * chunkSize, bytes)
      const chunk = hashed(index, bytes, buffer)
      chunk.catch(() => {})
      pending.push(chunk)
      if (pending.length === ahead) yield checked(await pending.shift()!, name, known)
    }
    while (pending.length > 0) yield checked(await pending.shift()!, name, known)
    await named(name, reader.finish())
  } finally {
    for (const chunk of pending) pool.give((await chunk).buffer)
    await reader.close()
  }
}

async function named(name: string, work: Promise<void>): Promise<void> {
  await work.catch((error: unknown) => {
    throw error instanceof FleetsieError ? error.inFile(name) : error
  })
}

async function hashed(index: number, bytes: Buffer, buffer: Buffer): Promise<Chunk> {
  return { index, bytes, buffer, digest: await chunkDigest(bytes) }
}

function checked(chunk: Chunk, name: string, known: ChunkStream['known']): Chunk {
  const expected = known?.[chunk.index]
  if (expected === undefined || expected === chunk.digest) return chunk
  throw new FleetsieError(
    'E_VERIFY',
    `chunk ${chunk.index} of the image (from byte ${chunk.index * chunkSize}) is not what its manifest says`,
    { file: name, hint: 'the file was changed or damaged since: build or fetch it again' },
  )
}
