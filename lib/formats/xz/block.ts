/** A whole block (section 3): header with both sizes, compressed data, padding and check. */
import { blockHeader, type FilterChain, maxBlockHeaderSize, parseBlockHeader } from './block-header.ts'
import { type CheckId, checkSize } from './check.ts'
import { type IndexRecord, padding } from './index-field.ts'

/** Puts a block together. `check` is what it ends with, of any kind. */
export function wholeBlock(fields: {
  filters: FilterChain
  data: Uint8Array
  uncompressedSize: number
  check: Uint8Array
}): Buffer {
  const { filters, data, uncompressedSize, check } = fields
  const header = blockHeader({ compressedSize: data.length, uncompressedSize, filters })
  return Buffer.concat([header, data, Buffer.alloc(padding(data.length)), check])
}

/**
 * What the index says of the block that fills `bytes`; undefined when that is no block with both sizes that decodes
 * to `uncompressed` bytes. The data are not looked at.
 */
export function recordOfBlock(
  bytes: Uint8Array,
  uncompressed: number,
  check: CheckId,
): IndexRecord | undefined {
  let header: ReturnType<typeof parseBlockHeader>
  try {
    header = parseBlockHeader(bytes.subarray(0, maxBlockHeaderSize), 0)
  } catch {
    return undefined
  }
  const { size, compressedSize, uncompressedSize } = header
  if (compressedSize === undefined || uncompressedSize !== uncompressed) return undefined
  const unpadded = size + compressedSize + checkSize(check)
  if (bytes.length !== unpadded + padding(compressedSize)) return undefined
  return { unpadded, uncompressed }
}
