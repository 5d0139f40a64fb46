/** Block headers (section 3.1). The filter chain is kept as its bytes, so that any chain survives. */
import { crc32Holds, crcSize, withCrc32 } from './crc32.ts'
import { damaged, unsupported } from './damage.ts'
import { decodeVli, encodeVli } from './vli.ts'

export const maxBlockHeaderSize = 1024
const hasCompressedSize = 0x40
const hasUncompressedSize = 0x80
const reservedFlags = 0x3c

export interface FilterChain {
  /** One to four. */
  count: number
  /** The filter flags of each, one after the other, as they stand in the file. */
  bytes: Uint8Array
}

export interface BlockHeader {
  /** Bytes of the header itself, CRC32 included. */
  size: number
  /** Bytes of the compressed data alone, when the header tells. */
  compressedSize: number | undefined
  uncompressedSize: number | undefined
  filters: FilterChain
}

/** How many bytes the header that begins with this byte has. @throws E_DAMAGED for an index's 0 */
function blockHeaderSize(first: number, offset: number): number {
  if (first === 0) throw damaged('here a block should begin, but the index does', offset)
  return (first + 1) * 4
}

/** Makes a header; without sizes when they are not given. */
export function blockHeader(fields: {
  compressedSize?: number
  uncompressedSize?: number
  filters: FilterChain
}): Buffer {
  const { compressedSize, uncompressedSize, filters } = fields
  let flags = filters.count - 1
  const body: number[] = []
  if (compressedSize !== undefined) {
    if (compressedSize === 0) throw unsupported('a block header cannot say that there is no compressed data')
    flags |= hasCompressedSize
    body.push(...encodeVli(compressedSize))
  }
  if (uncompressedSize !== undefined) {
    flags |= hasUncompressedSize
    body.push(...encodeVli(uncompressedSize))
  }
  body.push(...filters.bytes)
  const size = Math.ceil((2 + body.length + crcSize) / 4) * 4
  if (size > maxBlockHeaderSize) throw unsupported(`a filter chain of ${filters.bytes.length} bytes`)
  const bytes = Buffer.alloc(size - crcSize)
  bytes.set([size / 4 - 1, flags, ...body])
  return withCrc32(bytes)
}

/**
 * Reads a header that begins at `bytes[0]`; what follows it does not matter.
 * `offset` is where it lies in the file.
 * @throws E_DAMAGED with the place of the fault
 */
export function parseBlockHeader(bytes: Uint8Array, offset: number): BlockHeader {
  if (bytes.length === 0) throw damaged('a block header is missing', offset)
  const size = blockHeaderSize(bytes[0]!, offset)
  if (bytes.length < size) throw damaged('a block header is cut off', offset + bytes.length)
  const covered = bytes.subarray(0, size - crcSize)
  if (!crc32Holds(covered, bytes, size - crcSize)) {
    throw damaged('a block header does not match its CRC32', offset)
  }
  const flags = covered[1]!
  if (flags & reservedFlags) throw unsupported('a block header uses reserved bits', offset + 1)
  let at = 2
  const next = (): number => {
    const vli = decodeVli(covered, at, offset)
    at = vli.next
    return vli.value
  }
  const compressedSize = flags & hasCompressedSize ? next() : undefined
  if (compressedSize === 0) throw damaged('a block header says that there is no compressed data', offset + 2)
  const uncompressedSize = flags & hasUncompressedSize ? next() : undefined
  const count = (flags & 3) + 1
  const start = at
  for (let i = 0; i < count; i++) {
    const place = offset + at
    next() // The filter's id: which ones there are is the decoder's concern.
    const properties = next()
    if (properties > covered.length - at) throw damaged('a filter runs past its block header', place)
    at += properties
  }
  for (let i = at; i < covered.length; i++) {
    if (covered[i] !== 0) throw unsupported('the padding of a block header is not zero', offset + i)
  }
  return { size, compressedSize, uncompressedSize, filters: { count, bytes: covered.slice(start, at) } }
}
