/** Parts of a stock block as blocks of their own, out of the matches that the stock's encoder found. */
import { recodeBlock } from '../../formats/lzma/recode.ts'
import type { ReadAt } from '../../formats/random-access.ts'
import { wholeBlock } from '../../formats/xz/block.ts'
import type { FilterChain } from '../../formats/xz/block-header.ts'
import { type CheckId, checkOf, checkSize } from '../../formats/xz/check.ts'
import { damaged, unsupported } from '../../formats/xz/damage.ts'
import { lzma2Dictionary } from '../../formats/xz/lzma2-filter.ts'

export interface RecodeTask {
  /** Where compressed data, padding and check of the stock block lie in its file. */
  rest: { offset: number; length: number }
  /** Bytes of the compressed data. */
  compressedSize: number
  /** As in a block header, but plain numbers: a task is handed over as JSON. */
  filters: { count: number; bytes: readonly number[] }
  /** Bytes that they decode to. */
  uncompressed: number
  /** Parts of those, ascending. */
  ranges: { from: number; to: number }[]
}

/** A finished block for each range. @throws E_DAMAGED when the block does not decode to what its check says */
export async function recodeParts(read: ReadAt, task: RecodeTask, check: CheckId): Promise<Buffer[]> {
  const { rest, compressedSize, uncompressed, ranges } = task
  const filters: FilterChain = { ...task.filters, bytes: Uint8Array.from(task.filters.bytes) }
  const dictionarySize = lzma2Dictionary(filters)
  if (dictionarySize === undefined) throw unsupported('a block with other filters than LZMA2')
  const bytes = await read(rest.offset, rest.length)
  if (bytes.length < rest.length) throw damaged('the file became shorter while it was read', rest.offset)
  const payload = bytes.subarray(0, compressedSize)
  const { payloads, data } = recodeBlock({ payload, length: uncompressed, dictionarySize, ranges })
  const stored = bytes.subarray(bytes.length - checkSize(check))
  if (!checkOf(check, data).equals(stored)) throw damaged('a block does not match its check', rest.offset)
  return ranges.map(({ from, to }, i) =>
    wholeBlock({
      filters,
      data: payloads[i]!,
      uncompressedSize: to - from,
      check: checkOf(check, data.subarray(from, to)),
    }),
  )
}
