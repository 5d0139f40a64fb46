/** Makes the bytes of images readable at any place, unpacking no more of them than it takes. */
import { open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Run } from '../../engine/process.ts'
import { decode } from '../containers/decode.ts'
import { containerKind, magicLength } from '../containers/kind.ts'
import { roomFor } from '../containers/room.ts'
import { BufferPool } from '../flash/buffers.ts'
import type { DiskImage } from '../flash/types.ts'
import { type ContainerKind, chunkSize } from '../image.ts'
import { ImageWriter } from '../image-writer.ts'
import { maxImageSize } from '../limits.ts'
import type { PartitionTable } from '../partition-table.ts'
import { readerOf } from '../reads.ts'
import type { Readable } from './patched-window.ts'
import { sharedChunks } from './shared-blocks.ts'

type Chunks = readonly (string | null)[]

/** An image that was opened for a comparison. */
export interface Side {
  image: DiskImage
  file: string
  kind: ContainerKind
}

/** A raw image whose chunks are known. */
export interface Base {
  disk: string
  chunks: Chunks
  /** The .xz that it was unpacked from. */
  packed?: string
}

export interface Unpacked extends Readable {
  table: PartitionTable
  chunks: Chunks
  packed?: string
}

export interface UnpackOptions {
  /** Tried as what the image may be a patch of. */
  bases: readonly Base[]
  /** Folder for what is unpacked. */
  tmp: string
  /** The file's name there. */
  name: string
  run: Run
  /** Decoders at once. */
  jobs: number
  signal: AbortSignal
  progress(done: number, total: number): void
}

/** Buffers between the decoder and the disk. */
const buffers = 8

/** How the image in a file is packed; `raw`: not at all. */
export async function kindOf(path: string): Promise<ContainerKind> {
  const file = await open(path)
  try {
    return containerKind(await readerOf(file)(0, magicLength), path)
  } finally {
    await file.close()
  }
}

/** Unpacks what `bases` do not have at the same place, as digests or blocks of an .xz tell; where neither does, all. */
export async function unpack(side: Side, options: UnpackOptions): Promise<Unpacked> {
  const { image, file: packed, kind } = side
  const { table, chunks, size } = image
  if (kind === 'raw' && chunks) return { table, chunks, disk: packed }
  const bases = options.bases.filter((base) => base.chunks.length === Math.ceil(size / chunkSize))
  const patched = chunks
    ? await patchOf(image, chunks, bases, options)
    : await patchOfXz(side, bases, options)
  if (patched) return { table, ...patched }
  return { table, ...(await unpackAll(side, options)), ...(kind === 'xz' ? { packed } : {}) }
}

type Patched = Required<Readable> & { chunks: Chunks }

/** By the image's digests, over the base that needs the fewest chunks. */
async function patchOf(
  image: DiskImage,
  chunks: Chunks,
  bases: readonly Base[],
  options: UnpackOptions,
): Promise<Patched | undefined> {
  const [best] = bases
    .map((base) => ({ base, missing: differing(base.chunks, chunks) }))
    .sort((a, b) => a.missing.length - b.missing.length)
  if (!best) return undefined
  const file = join(options.tmp, options.name)
  await writeChunks(image, best.missing, file, options)
  return { chunks, disk: best.base.disk, patch: { file, chunks: new Set(best.missing) } }
}

/** By the blocks that both files have. */
async function patchOfXz(
  { image, file: packed, kind }: Side,
  bases: readonly Base[],
  options: UnpackOptions,
): Promise<Patched | undefined> {
  const base = kind === 'xz' ? bases.find((one) => one.packed !== undefined) : undefined
  if (!base) return undefined
  const shared = await sharedChunks(packed, base.packed!)
  // Chunk by chunk takes twice as long as the whole by all threads.
  if (shared.size < base.chunks.length / 2) return undefined
  const missing = [...base.chunks.keys()].filter((index) => !shared.has(index))
  const file = join(options.tmp, options.name)
  const digests = await writeChunks(image, missing, file, options)
  const chunks = base.chunks.map((digest, index) => (digests.has(index) ? digests.get(index)! : digest))
  return { chunks, disk: base.disk, patch: { file, chunks: new Set(missing) } }
}

/** The chunks at which two images of one size differ. */
export function differing(a: Chunks, b: Chunks): number[] {
  const found: number[] = []
  for (let index = 0; index < Math.max(a.length, b.length); index++)
    if (a[index] !== b[index]) found.push(index)
  return found
}

async function unpackAll(
  { file, kind, image }: Side,
  { tmp, name, run, jobs, signal, progress }: UnpackOptions,
): Promise<{ disk: string; chunks: Chunks }> {
  const disk = join(tmp, name)
  const fileSize = (await stat(file)).size
  await roomFor(tmp, maxImageSize).then((checkSize) => checkSize(image.size))
  const writer = await ImageWriter.create(disk)
  try {
    const decoding = { file, fileSize, writer, checkSize: () => {}, run, signal, jobs }
    await decode(kind, { ...decoding, progress: (done) => progress(done, image.size) })
    return { disk, chunks: (await writer.finish(image.size)).chunks }
  } finally {
    await writer.close()
  }
}

/** Puts chunks at their places in a sparse file; answers their digests. */
async function writeChunks(
  image: DiskImage,
  indexes: readonly number[],
  path: string,
  { signal, progress }: UnpackOptions,
): Promise<Map<number, string | null>> {
  const digests = new Map<number, string | null>()
  const file = await open(path, 'wx')
  try {
    await file.truncate(image.size)
    const pool = new BufferPool(buffers, chunkSize)
    let done = 0
    for await (const { index, bytes, buffer, digest } of image.readChunks(indexes, pool, signal)) {
      for (let at = 0; at < bytes.length; ) {
        at += (await file.write(bytes, at, bytes.length - at, index * chunkSize + at)).bytesWritten
      }
      digests.set(index, digest)
      pool.give(buffer)
      done += bytes.length
      progress(done, indexes.length * chunkSize)
    }
  } finally {
    await file.close()
  }
  return digests
}
