/**
 * Makes one ordinary .xz stream of a raw image: blocks of the stock .xz that nothing touched are copied,
 * the rest is made anew. The bytes depend on the image, the stock and the touched ranges only.
 */
import { type FileHandle, open } from 'node:fs/promises'
import type { Run } from '../engine/process.ts'
import type { Memo } from '../engine/stage.ts'
import { FleetsieError, inFile } from '../errors.ts'
import { recordOfBlock } from '../formats/xz/block.ts'
import type { CheckId } from '../formats/xz/check.ts'
import { cut, type Piece, type StockIndex, type Touched } from '../formats/xz/cut.ts'
import { encodeIndex, type IndexRecord, padding } from '../formats/xz/index-field.ts'
import { streamFooter, streamHeader, streamHeaderSize } from '../formats/xz/stream.ts'
import { copyBlocks } from './compress/copy-blocks.ts'
import { type MadeBlocks, makeBlocks } from './compress/make-blocks.ts'
import { openStock } from './compress/stock.ts'
import { encoderIdentity } from './encode-pieces.ts'
import { HashedFile } from './hashed-file.ts'
import type { XzContainer } from './image.ts'
import { readerOf } from './reads.ts'

export interface CompressOptions {
  /** The raw image. */
  raw: string
  /** Its size in bytes. */
  size: number
  /** The .xz that the image came in, its sha256, and where its blocks are. */
  stock?: { file: string; sha256: string; index: StockIndex } | undefined
  /** The sha256 of each 1 MiB of the stock image, null for zeros: spares reading what nothing touched. */
  chunks?: readonly (string | null)[] | undefined
  /**
   * Whether any byte of a range may differ from the stock image, which goes on with zeros after its end. Must answer
   * the same for the same image and layers. Its grain is `touchedGrain`.
   */
  touched: Touched
  /** The file to make. It must not be there yet. */
  out: string
  /** Keeps finished blocks for next time. */
  memo: Memo
  run: Run
  /** Encoders at once. They do not change the result. */
  jobs: number
  /** An empty folder for encoded pieces that wait for their turn. */
  tmp: string
  signal: AbortSignal
  /** Bytes of the raw image. */
  progress(done: number, total: number): void
}

export interface Compressed {
  sha256: string
  size: number
  /** Blocks taken over from the stock, and blocks made anew or known from before. */
  reused: number
  encoded: number
  /** Where its blocks are. */
  xz: XzContainer
}

const crc64: CheckId = 4
/** Copied at once: bytes, and headers that are read at the same time. */
const maxCopied = 16 * 1024 * 1024
const maxHeaders = 64

/** @throws E_DAMAGED when the stock is not what its index says, and whatever `run` throws */
export async function compressImage(options: CompressOptions): Promise<Compressed> {
  const { size, touched } = options
  const check = options.stock?.index.check ?? crc64
  const encoder = await encoderIdentity()
  const raw = await open(options.raw)
  const stockFile = options.stock && (await open(options.stock.file).catch(closing(raw)))
  const out = await HashedFile.create(options.out).catch(closing(raw, stockFile))
  const inStock = <T>(work: () => Promise<T>): Promise<T> =>
    options.stock ? inFile(options.stock.file, work) : work()
  let made: MadeBlocks | undefined
  try {
    const stock = stockFile && (await inStock(() => openStock(stockFile, options.stock!, touched)))
    const pieces = cut(size, stock?.index, touched, (block) => stock!.recodable.has(block))
    made = makeBlocks({ ...options, stock, read: readerOf(raw), check, pieces, encoder })
    const records: IndexRecord[] = []
    await out.write(streamHeader(check))
    for (const group of inGroups(pieces, stock?.index)) {
      if (options.signal.aborted) throw new FleetsieError('E_INTERRUPTED', 'compressing was interrupted')
      const last = group.at(-1)!
      if (last.kind === 'copy') {
        const blocks = group.map((piece) => stock!.index.blocks[(piece as typeof last).block]!)
        records.push(...(await inStock(() => copyBlocks(out, stockFile!, blocks, check))))
      } else {
        const block = await made.take(last)
        const record = recordOfBlock(block, last.length, check)
        if (!record) throw new FleetsieError('E_BUG', `a block of ${last.length} bytes is none`)
        records.push(record)
        await out.write(block)
      }
      options.progress(last.offset + last.length, size)
    }
    const index = encodeIndex(records)
    await out.write(index)
    await out.write(streamFooter(check, index.length))
    const reused = pieces.filter((piece) => piece.kind === 'copy').length
    const xz = { check, streams: 1, blocks: placed(records) }
    return { ...(await out.finish()), reused, encoded: pieces.length - reused, xz }
  } finally {
    await made?.end()
    await Promise.all([raw.close(), stockFile?.close(), out.close()])
  }
}

/** Each piece alone, but copied ones next to each other together, up to what shows as progress. */
function* inGroups(pieces: readonly Piece[], stock: StockIndex | undefined): Generator<Piece[]> {
  let group: Piece[] = []
  let bytes = 0
  for (const piece of pieces) {
    const copied = piece.kind === 'copy'
    if (group.length > 0 && (!copied || bytes > maxCopied || group.length === maxHeaders)) {
      yield group
      group = []
      bytes = 0
    }
    if (!copied) yield [piece]
    else {
      group.push(piece)
      bytes += stock!.blocks[piece.block]!.unpadded
    }
  }
  if (group.length > 0) yield group
}

function placed(records: readonly IndexRecord[]): XzContainer['blocks'] {
  let offset = streamHeaderSize
  return records.map(({ unpadded, uncompressed }) => {
    const block = { offset, unpadded, uncompressed, stream: 0 }
    offset += unpadded + padding(unpadded)
    return block
  })
}

function closing(...files: (FileHandle | undefined)[]): (error: unknown) => Promise<never> {
  return async (error) => {
    await Promise.all(files.map((file) => file?.close()))
    throw error
  }
}
