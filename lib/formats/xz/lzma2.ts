/** The LZMA2 filter (section 5.3.1), whose one property is the size of the dictionary. */
import type { FilterChain } from './block-header.ts'

const id = 0x21
/** Stands for 4 GiB less one byte; the rest are powers of two and one and a half of them, from 4 KiB on. */
const largest = 40

/** Bytes of the dictionary where LZMA2 is the only filter of a chain; undefined for any other chain. */
export function lzma2Dictionary({ count, bytes }: FilterChain): number | undefined {
  const [first, properties, size] = bytes
  if (count !== 1 || bytes.length !== 3 || first !== id || properties !== 1) return undefined
  return size! > largest ? undefined : dictionarySize(size!)
}

/** LZMA2 alone, with the smallest dictionary that holds so many bytes. */
export function lzma2Chain(bytes: number): FilterChain {
  let size = 0
  while (size < largest && dictionarySize(size) < bytes) size++
  return { count: 1, bytes: Uint8Array.of(id, 1, size) }
}

function dictionarySize(property: number): number {
  return property === largest ? 0xffffffff : (2 | (property & 1)) * 2 ** ((property >> 1) + 11)
}
