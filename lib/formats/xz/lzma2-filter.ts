/** The LZMA2 filter of a block header (section 5.3.1). */
import type { FilterChain } from './block-header.ts'

const id = 0x21
const largest = 40

/** Bytes of the dictionary; undefined when the chain is anything but LZMA2 alone. */
export function lzma2Dictionary({ count, bytes }: FilterChain): number | undefined {
  const [filter, properties, bits] = bytes
  if (count !== 1 || bytes.length !== 3 || filter !== id || properties !== 1) return undefined
  if (bits === undefined || bits > largest) return undefined
  if (bits === largest) return 2 ** 32 - 1
  return (2 | (bits & 1)) * 2 ** (Math.floor(bits / 2) + 11)
}
