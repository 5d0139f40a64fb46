/** Which blocks of an .xz are decoded together for the parts of an image that are wanted. */
import type { ByteRange } from '../byte-ranges.ts'
import type { PlacedBlock } from '../containers/xz-run.ts'

export interface Batch {
  blocks: PlacedBlock[]
  /** Decoded bytes of all of them. */
  length: number
  /** Decoded bytes behind which nothing is wanted. */
  until: number
}

/** What one program decodes: enough to be worth its start, little enough that all cores have work. */
const batchSize = 16 * 1024 * 1024

/** The blocks in which `ranges` lie, and no others; both ascend. */
export function batchesOf(blocks: readonly PlacedBlock[], ranges: readonly ByteRange[]): Batch[] {
  const batches: Batch[] = []
  let next = 0
  for (const block of blocks) {
    const end = block.start + block.uncompressed
    let last = -1
    for (; next < ranges.length; next++) {
      const { offset, length } = ranges[next]!
      if (offset >= end) break
      last = Math.min(end, offset + length)
      if (offset + length > end) break
    }
    // The range that the loop stopped at may have been counted for the block before.
    if (last <= block.start) continue
    const batch = batches.at(-1)
    const until = last - block.start
    if (batch && batch.length + block.uncompressed <= batchSize) {
      batch.until = batch.length + until
      batch.blocks.push(block)
      batch.length += block.uncompressed
    } else batches.push({ blocks: [block], length: block.uncompressed, until })
  }
  return batches
}
