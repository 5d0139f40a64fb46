/** Parts of a stock block as blocks of their own, out of the matches that the stock's encoder found. */
import { recodeBlock } from '../../formats/lzma/recode.ts'
import { wholeBlock } from '../../formats/xz/block.ts'
import type { FilterChain } from '../../formats/xz/block-header.ts'
import { type CheckId, checkOf, checkSize } from '../../formats/xz/check.ts'
import { damaged, unsupported } from '../../formats/xz/damage.ts'
import { lzma2Dictionary } from '../../formats/xz/lzma2-filter.ts'

export interface RecodeParts {
  /** The block's compressed data, padding and check. */
  bytes: Uint8Array
  /** Bytes of the first of them. */
  compressedSize: number
  filters: FilterChain
  uncompressed: number
  check: CheckId
  /** Parts of what the block decodes to, ascending. */
  ranges: readonly { from: number; to: number }[]
}

/** @throws E_DAMAGED when the block does not decode to what its check says */
export function recodeParts(request: RecodeParts): Buffer[] {
  const { bytes, compressedSize, filters, uncompressed, check, ranges } = request
  const dictionarySize = lzma2Dictionary(filters)
  if (dictionarySize === undefined) throw unsupported('a block with other filters than LZMA2')
  const payload = bytes.subarray(0, compressedSize)
  const { payloads, data } = recodeBlock({ payload, length: uncompressed, dictionarySize, ranges })
  const stored = bytes.subarray(bytes.length - checkSize(check))
  if (!checkOf(check, data).equals(stored)) throw damaged('a block does not match its check', bytes.length)
  return ranges.map(({ from, to }, i) =>
    wholeBlock({
      filters,
      data: payloads[i]!,
      uncompressedSize: to - from,
      check: checkOf(check, data.subarray(from, to)),
    }),
  )
}
