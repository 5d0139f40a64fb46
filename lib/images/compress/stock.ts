/** The stock .xz while an image is compressed by its blocks. */
import type { FileHandle } from 'node:fs/promises'
import type { StockIndex, Touched } from '../../formats/xz/cut.ts'
import { lzma2Dictionary } from '../../formats/xz/lzma2-filter.ts'
import { readerOf } from '../reads.ts'
import { type SizedBlock, sizedBlock } from '../sized-block.ts'

export interface Stock {
  file: FileHandle
  path: string
  sha256: string
  index: StockIndex
  /** By their numbers, the touched blocks of which parts can be recoded. */
  recodable: ReadonlyMap<number, RecodableBlock>
}

export interface RecodableBlock extends SizedBlock {
  /** Where its data begin in the image. */
  start: number
  uncompressed: number
}

/** Four times as much is held in memory. */
const maxRecodable = 32 * 1024 * 1024

/** @throws E_DAMAGED when the header of a touched block is not what the index says */
export async function openStock(
  file: FileHandle,
  { file: path, sha256, index }: { file: string; sha256: string; index: StockIndex },
  touched: Touched,
): Promise<Stock> {
  const recodable = new Map<number, RecodableBlock>()
  const read = readerOf(file)
  let start = 0
  for (const [number, block] of index.blocks.entries()) {
    const { uncompressed } = block
    if (uncompressed > 0 && uncompressed <= maxRecodable && touched(start, uncompressed)) {
      const sized = await sizedBlock(read, block, index.check)
      const plain = lzma2Dictionary(sized.filters) !== undefined
      if (plain) recodable.set(number, { ...sized, start, uncompressed })
    }
    start += uncompressed
  }
  return { file, path, sha256, index, recodable }
}
