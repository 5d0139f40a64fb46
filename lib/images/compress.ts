/**
 * Makes one ordinary .xz stream of a raw image: blocks of the stock .xz that nothing touched are copied,
 * the rest is encoded in parallel. The bytes depend on the image, the stock's index and the touched ranges only.
 */
import { type FileHandle, open, stat } from 'node:fs/promises'
import type { Run } from '../engine/process.ts'
import { FleetsieError, inFile } from '../errors.ts'
import type { ReadAt } from '../formats/random-access.ts'
import type { CheckId } from '../formats/xz/check.ts'
import { cut, type StockIndex } from '../formats/xz/cut.ts'
import { readFileIndex } from '../formats/xz/file-index.ts'
import { encodeIndex, type IndexRecord } from '../formats/xz/index-field.ts'
import { streamFooter, streamHeader } from '../formats/xz/stream.ts'
import { encodePieces } from './encode-pieces.ts'
import { readerOf, readRange } from './feed.ts'
import { HashedFile } from './hashed-file.ts'
import { sizedBlock } from './sized-block.ts'

export interface CompressOptions {
  /** The raw image. */
  raw: string
  /** Its size in bytes. */
  size: number
  /** The .xz that the image came in, and where its blocks are. */
  stock?: { file: string; index: StockIndex } | undefined
  /** Whether any byte of a range differs from the stock. Must answer the same for the same image and layers. */
  touched(offset: number, length: number): boolean
  /** The file to make. It must not be there yet. */
  out: string
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
  /** Blocks taken over from the stock, and blocks made anew. */
  reused: number
  encoded: number
}

const crc64: CheckId = 4

/** @throws E_DAMAGED when the stock is not what its index says, and whatever `run` throws */
export async function compressImage(options: CompressOptions): Promise<Compressed> {
  const { size, stock } = options
  const check = stock?.index.check ?? crc64
  const pieces = cut(size, stock?.index, options.touched)
  const raw = await open(options.raw)
  const stockFile = stock && (await open(stock.file).catch(closing(raw)))
  const out = await HashedFile.create(options.out).catch(closing(raw, stockFile))
  const encoding = encodePieces({ ...options, read: readerOf(raw), check, pieces })
  const records: IndexRecord[] = []
  try {
    await out.write(streamHeader(check))
    for (const piece of pieces) {
      if (options.signal.aborted) throw new FleetsieError('E_INTERRUPTED', 'compressing was interrupted')
      if (piece.kind === 'copy') {
        const block = stock!.index.blocks[piece.block]!
        const read = readerOf(stockFile!)
        records.push(await inFile(stock!.file, () => copyBlock(out, read, block, check)))
      } else {
        records.push(await copyOnlyBlock(out, await encoding.file(piece), piece.length, check))
        await encoding.used(piece)
      }
      options.progress(piece.offset + piece.length, size)
    }
    const index = encodeIndex(records)
    await out.write(index)
    await out.write(streamFooter(check, index.length))
    const encoded = pieces.filter((piece) => piece.kind === 'encode').length
    return { ...out.finish(), reused: pieces.length - encoded, encoded }
  } finally {
    await encoding.end()
    await Promise.all([raw.close(), stockFile?.close(), out.close()])
  }
}

async function copyBlock(
  out: HashedFile,
  read: ReadAt,
  block: { offset: number; unpadded: number; uncompressed: number },
  check: CheckId,
): Promise<IndexRecord> {
  const { header, rest, record } = await sizedBlock(read, block, check)
  await out.write(header)
  for await (const bytes of readRange(read, rest.offset, rest.length)) await out.write(bytes)
  return record
}

async function copyOnlyBlock(
  out: HashedFile,
  path: string,
  length: number,
  check: CheckId,
): Promise<IndexRecord> {
  const file = await open(path)
  try {
    const read = readerOf(file)
    const { blocks } = await readFileIndex(read, (await stat(path)).size)
    const [block] = blocks
    if (!block || blocks.length > 1 || block.uncompressed !== length) {
      throw new FleetsieError('E_BUG', `xz made ${blocks.length} blocks of a piece of ${length} bytes`)
    }
    return await copyBlock(out, read, block, check)
  } finally {
    await file.close()
  }
}

function closing(...files: (FileHandle | undefined)[]): (error: unknown) => Promise<never> {
  return async (error) => {
    await Promise.all(files.map((file) => file?.close()))
    throw error
  }
}
