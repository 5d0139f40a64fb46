/** A block of an .xz, given both sizes in its header: `xz -T0` and others decode only such blocks in parallel. */
import type { ReadAt } from '../formats/random-access.ts'
import {
  blockHeader,
  type FilterChain,
  maxBlockHeaderSize,
  parseBlockHeader,
} from '../formats/xz/block-header.ts'
import { type CheckId, checkSize } from '../formats/xz/check.ts'
import { damaged } from '../formats/xz/damage.ts'
import { type IndexRecord, padding } from '../formats/xz/index-field.ts'

export interface SizedBlock {
  header: Buffer
  /** Whether the header is the one that the block has in its file, byte for byte. */
  kept: boolean
  /** Data, padding and check: where they lie in the file that the block is from. */
  rest: { offset: number; length: number }
  filters: FilterChain
  /** Bytes of the data alone. */
  compressedSize: number
  /** For the index of the stream that the block goes to. */
  record: IndexRecord
}

/** @throws E_DAMAGED when the block's header is damaged or does not say what the index says */
export async function sizedBlock(
  read: ReadAt,
  block: { offset: number; unpadded: number; uncompressed: number },
  check: CheckId,
): Promise<SizedBlock> {
  const { offset, unpadded, uncompressed } = block
  const bytes = await read(offset, Math.min(maxBlockHeaderSize, unpadded))
  const old = parseBlockHeader(bytes, offset)
  const { filters } = old
  const compressedSize = unpadded - old.size - checkSize(check)
  const differs =
    compressedSize <= 0 ||
    (old.compressedSize ?? compressedSize) !== compressedSize ||
    (old.uncompressedSize ?? uncompressed) !== uncompressed
  if (differs) throw damaged('a block header and the index differ', offset)
  const kept = old.compressedSize !== undefined && old.uncompressedSize !== undefined
  const header = kept
    ? bytes.subarray(0, old.size)
    : blockHeader({ compressedSize, uncompressedSize: uncompressed, filters })
  return {
    header,
    kept,
    rest: { offset: offset + old.size, length: unpadded + padding(unpadded) - old.size },
    filters,
    compressedSize,
    record: { unpadded: unpadded - old.size + header.length, uncompressed },
  }
}
