/** Opens an image, of any container, to be read in any part and checked on the way. */
import { open } from 'node:fs/promises'
import { basename } from 'node:path'
import type { Run } from '../../engine/process.ts'
import { FleetsieError, inFile } from '../../errors.ts'
import type { Bmap } from '../../formats/bmap-parse.ts'
import type { ReadAt } from '../../formats/random-access.ts'
import { readFileIndex } from '../../formats/xz/file-index.ts'
import type { ByteRange } from '../byte-ranges.ts'
import { containerKind, magicLength } from '../containers/kind.ts'
import { placedBlocks } from '../containers/xz.ts'
import { sha256OfFile } from '../hash-file.ts'
import { chunksDigest, type ImageManifest } from '../image.ts'
import type { PartitionTable } from '../partition-table.ts'
import { readPartitions } from '../partitions.ts'
import { readerOf } from '../reads.ts'
import type { BufferPool } from './buffers.ts'
import { readChunks } from './chunk-stream.ts'
import { KeptChunks } from './kept-chunks.ts'
import { RangeCheck } from './range-check.ts'
import type { Source } from './source.ts'
import type { Chunk, DiskImage } from './types.ts'
import { XzSource } from './xz-source.ts'

export interface OpenDiskImage {
  file: string
  /** As messages name it. Default: the file's name. */
  name?: string
  /** Of the image that is in `file`. What it says is not asked of the file: digests, and the file's sha256. */
  manifest?: ImageManifest
  bmap?: Bmap
  table?: PartitionTable
  run: Run
  /** Folder for what is decoded. */
  tmp: string
  /** Decoders at once. */
  jobs: number
  signal: AbortSignal
}

/** Larger blocks are decoded as one stream: the parts in which they are decoded take room in `tmp`. */
const maxBlock = 64 * 1024 * 1024
const sector = 512

/**
 * Opens the image. What cannot be known otherwise takes reading it once: the digests of a raw image, the size of one in a
 * .gz, .zst or .zip.
 * @throws E_DAMAGED, E_UNSUPPORTED naming file and byte; E_INPUT where manifest or block map are another image's
 */
export function openDiskImage(options: OpenDiskImage): Promise<DiskImage> {
  const name = options.name ?? basename(options.file)
  return inFile(name, async () => {
    const { source, chunks, sha256 } = await openSource(options, name)
    try {
      checkFits(source.size, options)
      const image = new OpenedImage(name, sha256, source, chunks, options.bmap)
      image.table = options.table ?? (await readPartitions(image.readAt(options.signal), source.size))
      return image
    } catch (error) {
      await source.close()
      throw error
    }
  })
}

class OpenedImage implements DiskImage {
  readonly name: string
  readonly sha256: string
  readonly size: number
  readonly mapped: readonly ByteRange[]
  readonly chunks: readonly (string | null)[] | undefined
  table!: PartitionTable
  readonly #source: Source
  readonly #bmap: Bmap | undefined
  readonly #kept = new KeptChunks(this)
  #waited = 0

  constructor(
    name: string,
    sha256: string,
    source: Source,
    chunks: readonly (string | null)[] | undefined,
    bmap: Bmap | undefined,
  ) {
    this.name = name
    this.sha256 = sha256
    this.size = source.size
    this.chunks = chunks
    this.mapped = bmap ? mappedBy(bmap) : [{ offset: 0, length: source.size }]
    this.#source = source
    this.#bmap = bmap
  }

  readChunks(indexes: readonly number[], pool: BufferPool, signal: AbortSignal): AsyncIterable<Chunk> {
    // Who learned the digests has held the image against the map, or a manifest is of the image that the map is of.
    const check = this.chunks === undefined ? checkBy(this.#bmap) : undefined
    const waited = (ms: number): void => {
      this.#waited += ms
    }
    const stream = { source: this.#source, name: this.name, known: this.chunks, check, waited }
    return readChunks(stream, indexes, pool, signal)
  }

  read(ranges: readonly ByteRange[], signal: AbortSignal): AsyncIterable<{ at: number; bytes: Buffer }> {
    return this.#kept.read(ranges, signal)
  }

  /** For small reads; fewer bytes than asked for where the image ends. */
  readAt(signal: AbortSignal): ReadAt {
    return async (offset, length) => {
      // Damaged tables ask for places that no disk has.
      if (!Number.isSafeInteger(offset) || offset < 0 || offset >= this.size) return Buffer.alloc(0)
      const bytes = Buffer.alloc(Math.min(length, this.size - offset))
      for await (const part of this.read([{ offset, length: bytes.length }], signal)) {
        part.bytes.copy(bytes, part.at - offset)
      }
      return bytes
    }
  }

  waited(): { reading: number; decoding: number } {
    const reading = Math.min(this.#source.reading, this.#waited)
    return { reading, decoding: this.#waited - reading }
  }

  close(): Promise<void> {
    return this.#source.close()
  }
}

interface Opened {
  source: Source
  chunks: readonly (string | null)[] | undefined
  sha256: string
}

async function openSource(options: OpenDiskImage, name: string): Promise<Opened> {
  const { file: path, manifest, run, signal, tmp, jobs } = options
  const file = await open(path)
  let kept = false
  try {
    const kind = containerKind(await readerOf(file)(0, magicLength), name)
    const chunks = manifest?.chunks
    const identity = async (): Promise<string> =>
      manifest?.container.sha256 ?? (await sha256OfFile(path, { signal }))
    if (kind === 'raw') return await openRaw(path, options)
    if (kind === 'xz') {
      const index = await readFileIndex(readerOf(file), (await file.stat()).size)
      const blocks = placedBlocks(index)
      const sha256 = await identity()
      const large = blocks.some(({ uncompressed }) => uncompressed > maxBlock)
      if (blocks.length < 2 || large) {
        const how = { run, checked: chunks !== undefined }
        const { StreamedSource } = await import('./streamed-source.ts')
        return { source: new StreamedSource(kind, path, index.uncompressed, how), chunks, sha256 }
      }
      kept = true
      const checked = chunks !== undefined
      return { source: new XzSource(file, blocks, { run, tmp, jobs, checked }), chunks, sha256 }
    }
    const { StreamedSource } = await import('./streamed-source.ts')
    const { scanStream } = await import('./scan.ts')
    const scanned = manifest ?? (await scanStream(kind, checkBy(options.bmap), { file: path, run, signal }))
    return {
      source: new StreamedSource(kind, path, scanned.size, { run, checked: true }),
      chunks: scanned.chunks,
      sha256: await identity(),
    }
  } finally {
    if (!kept) await file.close()
  }
}

async function openRaw(path: string, { manifest, bmap, signal }: OpenDiskImage): Promise<Opened> {
  const { RawSource } = await import('./raw-source.ts')
  const source = await RawSource.open(path)
  if (manifest) return { source, chunks: manifest.chunks, sha256: chunksDigest(manifest.chunks) }
  const { scanImage } = await import('./scan.ts')
  try {
    const chunks = await scanImage(source, checkBy(bmap), signal)
    return { source, chunks, sha256: chunksDigest(chunks) }
  } catch (error) {
    await source.close()
    throw error
  }
}

function checkBy(bmap: Bmap | undefined): RangeCheck | undefined {
  return bmap && new RangeCheck(bmap)
}

function checkFits(size: number, { manifest, bmap }: OpenDiskImage): void {
  if (size === 0 || size % sector !== 0) {
    throw new FleetsieError('E_DAMAGED', `the image is cut off: ${size} bytes are no multiple of ${sector}`)
  }
  const other = (what: string, bytes: number): FleetsieError =>
    new FleetsieError('E_INPUT', `the ${what} is for an image of ${bytes} bytes, this one has ${size}`, {
      hint: `give the ${what} that was made with this image`,
    })
  if (manifest && manifest.size !== size) throw other('manifest', manifest.size)
  if (bmap && bmap.imageSize !== size) throw other('block map', bmap.imageSize)
}

function mappedBy({ ranges, blockSize, imageSize }: Bmap): ByteRange[] {
  const mapped: ByteRange[] = []
  for (const { first, last } of ranges) {
    const offset = first * blockSize
    const length = Math.min(imageSize, (last + 1) * blockSize) - offset
    const previous = mapped.at(-1)
    if (previous && previous.offset + previous.length === offset) previous.length += length
    else mapped.push({ offset, length })
  }
  return mapped
}
