/** Copies blocks of the stock .xz as they are, in runs as long as they lie one after the other. */
import type { FileHandle } from 'node:fs/promises'
import type { CheckId } from '../../formats/xz/check.ts'
import type { IndexRecord } from '../../formats/xz/index-field.ts'
import type { HashedFile } from '../hashed-file.ts'
import { readerOf } from '../reads.ts'
import { sizedBlock } from '../sized-block.ts'

/** A block without sizes in its header gets them. @throws E_DAMAGED when a header is not what the index says */
export async function copyBlocks(
  out: HashedFile,
  stock: FileHandle,
  blocks: readonly { offset: number; unpadded: number; uncompressed: number }[],
  check: CheckId,
): Promise<IndexRecord[]> {
  const read = readerOf(stock)
  const sized = await Promise.all(blocks.map((block) => sizedBlock(read, block, check)))
  let from = 0
  let to = 0
  for (const [i, { header, kept, rest }] of sized.entries()) {
    const { offset } = blocks[i]!
    const follows = kept && offset === to
    if (!follows) {
      await out.copy(stock, from, to - from)
      if (!kept) await out.write(header)
      from = kept ? offset : rest.offset
    }
    to = rest.offset + rest.length
  }
  await out.copy(stock, from, to - from)
  return sized.map(({ record }) => record)
}
