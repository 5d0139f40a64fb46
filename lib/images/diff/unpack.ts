/** Makes the bytes of images readable at any place, unpacking no more of them than it takes. */
import { open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Run } from '../../engine/process.ts'
import { decode } from '../containers/decode.ts'
import { containerKind, magicLength } from '../containers/kind.ts'
import { roomFor } from '../containers/room.ts'
import { readerOf } from '../feed.ts'
import { BufferPool } from '../flash/buffers.ts'
import type { DiskImage } from '../flash/types.ts'
import { type ContainerKind, chunkSize } from '../image.ts'
import { ImageWriter } from '../image-writer.ts'
import { maxImageSize } from '../limits.ts'
import type { PartitionTable } from '../partition-table.ts'
import type { Readable } from './patched-window.ts'

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
}

export interface Unpacked extends Readable {
  table: PartitionTable
  chunks: Chunks
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

/** Where the chunks are known, only those are unpacked that `bases` do not have at the same place; else all. */
export async function unpack(side: Side, options: UnpackOptions): Promise<Unpacked> {
  const { image, file: packed, kind } = side
  const { table, chunks, size } = image
  if (kind === 'raw' && chunks) return { table, chunks, disk: packed }
  const bases = options.bases.filter((base) => base.chunks.length === chunks?.length)
  if (!chunks || bases.length === 0) return { table, ...(await unpackAll(side, options)) }
  const [best] = bases
    .map((base) => ({ base, missing: differing(base.chunks, chunks) }))
    .sort((a, b) => a.missing.length - b.missing.length)
  const file = join(options.tmp, options.name)
  await writeChunks(image, best!.missing, file, size, options)
  return { table, chunks, disk: best!.base.disk, patch: { file, chunks: new Set(best!.missing) } }
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

async function writeChunks(
  image: DiskImage,
  indexes: readonly number[],
  path: string,
  size: number,
  { signal, progress }: UnpackOptions,
): Promise<void> {
  const file = await open(path, 'wx')
  try {
    await file.truncate(size)
    const pool = new BufferPool(buffers, chunkSize)
    let done = 0
    for await (const { index, bytes, buffer } of image.readChunks(indexes, pool, signal)) {
      await file.write(bytes, 0, bytes.length, index * chunkSize)
      pool.give(buffer)
      done += bytes.length
      progress(done, indexes.length * chunkSize)
    }
  } finally {
    await file.close()
  }
}
