/**
 * Where each block of an .xz file lies, read from the file's end: footer, index, header, for each stream.
 * Format: https://tukaani.org/xz/xz-file-format-1.2.1.txt
 */
import type { ReadAt } from '../random-access.ts'
import { checkSize } from './check.ts'
import { damaged, unsupported } from './damage.ts'
import { padding, parseIndex } from './index-field.ts'
import { parseStreamFooter, parseStreamHeader, streamFooterSize, streamHeaderSize } from './stream.ts'

export interface XzBlock {
  /** Where the block's header begins in the file. */
  offset: number
  /** Bytes of the block without its padding, as the index tells. */
  unpadded: number
  /** Bytes that it decodes to. */
  uncompressed: number
  /** The stream that it belongs to, counted from 0. */
  stream: number
}

export interface XzStream {
  offset: number
  /** Id of the integrity check of its blocks, 0 to 15. */
  check: number
  blocks: number
}

export interface XzFileIndex {
  streams: XzStream[]
  /** In the order of the file, which is the order of the data. */
  blocks: XzBlock[]
  /** Bytes that the whole file decodes to. */
  uncompressed: number
}

/** More than a 256 GiB image has in 1 MiB blocks; the lists stay below 50 MB. */
export const maxBlocks = 262_144
const maxStreams = 65_536
const maxIndexSize = maxBlocks * 18 + 16
const paddingStep = 65_536

/**
 * Reads the index of a file of `size` bytes. Block headers and data are not looked at.
 * @throws E_DAMAGED naming what is wrong and at which byte, E_UNSUPPORTED for more blocks or streams than we list
 */
export async function readFileIndex(readAt: ReadAt, size: number): Promise<XzFileIndex> {
  const read: ReadAt = async (offset, length) => {
    const bytes = await readAt(offset, length)
    if (bytes.length !== length)
      throw damaged('the file became shorter while it was read', offset + bytes.length)
    return bytes
  }
  if (size === 0) throw damaged('the file is empty', 0)
  parseStreamHeader(await read(0, Math.min(size, streamHeaderSize)), 0)
  if (size % 4 !== 0) {
    throw damaged(`the file is cut off or has something after its end: ${size} is no multiple of four`, size)
  }
  const found: { stream: XzStream; blocks: Omit<XzBlock, 'stream'>[] }[] = []
  let blockCount = 0
  for (let end = size; end > 0; ) {
    const footerEnd = await beforePadding(read, end)
    const last = await readStream(read, footerEnd)
    found.push(last)
    blockCount += last.blocks.length
    if (found.length > maxStreams) throw unsupported(`more than ${maxStreams} streams in one file`)
    if (blockCount > maxBlocks) throw unsupported(`more than ${maxBlocks} blocks in one file`)
    end = last.stream.offset
  }
  found.reverse()
  const blocks = found.flatMap((part, stream) => part.blocks.map((block) => ({ ...block, stream })))
  const uncompressed = blocks.reduce((sum, block) => sum + block.uncompressed, 0)
  if (uncompressed > Number.MAX_SAFE_INTEGER) throw unsupported('the data is 2^53 bytes or more')
  return { streams: found.map((part) => part.stream), blocks, uncompressed }
}

/** Reads the stream that ends at `end`. */
async function readStream(
  read: ReadAt,
  end: number,
): Promise<{ stream: XzStream; blocks: Omit<XzBlock, 'stream'>[] }> {
  const footerAt = end - streamFooterSize
  if (footerAt < streamHeaderSize) throw damaged('there is no room for a stream before this place', end)
  const footer = parseStreamFooter(await read(footerAt, streamFooterSize), footerAt)
  const indexAt = footerAt - footer.indexSize
  if (indexAt < streamHeaderSize) throw damaged('the stream footer points before the file', footerAt + 4)
  if (footer.indexSize > maxIndexSize) throw unsupported(`an index of ${footer.indexSize} bytes`, indexAt)
  const records = parseIndex(await read(indexAt, footer.indexSize), indexAt)
  const total = records.reduce((sum, record) => sum + record.unpadded + padding(record.unpadded), 0)
  const offset = indexAt - total - streamHeaderSize
  if (offset < 0) throw damaged('the blocks in the index are larger than the file', indexAt)
  const header = parseStreamHeader(await read(offset, streamHeaderSize), offset)
  if (header.check !== footer.check) throw damaged('stream header and footer differ', footerAt + 8)
  const least = checkSize(header.check) + 5
  let at = offset + streamHeaderSize
  const blocks = records.map((record) => {
    if (record.unpadded < least) throw damaged('the index holds an impossible block size', indexAt)
    const block = { offset: at, ...record }
    at += record.unpadded + padding(record.unpadded)
    return block
  })
  return { stream: { offset, check: header.check, blocks: blocks.length }, blocks }
}

/** The end of the last stream that ends at or before `end`: stream padding is zeros, four by four. */
async function beforePadding(read: ReadAt, end: number): Promise<number> {
  for (let at = end; at > 0; ) {
    const length = Math.min(paddingStep, at)
    const bytes = await read(at - length, length)
    for (let i = length; i > 0; i -= 4) {
      if (bytes[i - 1] || bytes[i - 2] || bytes[i - 3] || bytes[i - 4]) return at - length + i
    }
    at -= length
  }
  throw damaged('there is no stream before these zeros', 0)
}
