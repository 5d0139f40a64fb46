/** Makes the bytes of images readable at any place, unpacking no more of them than it takes. */
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { containerKind, magicLength } from '../containers/kind.ts'
import { readerOf } from '../feed.ts'
import { BufferPool } from '../flash/buffers.ts'
import type { DiskImage } from '../flash/types.ts'
import { chunkSize } from '../image.ts'
import { ImageWriter } from '../image-writer.ts'
import type { PartitionTable } from '../partition-table.ts'
import type { Readable } from './patched-window.ts'

type Chunks = readonly (string | null)[]

/** An image that was opened for a comparison. */
export interface Side {
  image: DiskImage
  /** Where it is raw already. */
  raw: string | undefined
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
  signal: AbortSignal
  progress(done: number, total: number): void
}

/** Buffers between the decoder and the disk. */
const buffers = 8

/** Whether a file is a disk image as it is. */
export async function isRaw(path: string): Promise<boolean> {
  const file = await open(path)
  try {
    return containerKind(await readerOf(file)(0, magicLength), path) === 'raw'
  } finally {
    await file.close()
  }
}

/** Where the chunks are known, only those are unpacked that `bases` do not have at the same place; else all. */
export async function unpack({ image, raw }: Side, options: UnpackOptions): Promise<Unpacked> {
  const { table, chunks, size } = image
  if (raw !== undefined && chunks) return { table, chunks, disk: raw }
  const bases = options.bases.filter((base) => base.chunks.length === chunks?.length)
  if (!chunks || bases.length === 0) return { table, ...(await unpackAll(image, options)) }
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
  image: DiskImage,
  options: UnpackOptions,
): Promise<{ disk: string; chunks: Chunks }> {
  const disk = join(options.tmp, options.name)
  const writer = await ImageWriter.create(disk)
  try {
    for await (const { at, bytes } of image.read([{ offset: 0, length: image.size }], options.signal)) {
      writer.write(at, bytes)
      if (writer.behind) await writer.caughtUp()
      options.progress(at + bytes.length, image.size)
    }
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
