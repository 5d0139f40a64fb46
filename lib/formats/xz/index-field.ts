/** The index at the end of a stream (section 4): the two sizes of each block. */
import { crc32Holds, crcSize, withCrc32 } from './crc32.ts'
import { damaged } from './damage.ts'
import { decodeVli, encodeVli } from './vli.ts'

export interface IndexRecord {
  /** Bytes of block header, compressed data and check, without the padding between the last two. */
  unpadded: number
  /** Bytes that the block decodes to. */
  uncompressed: number
}

/** Header, data, and check are at least so many bytes. */
const minUnpadded = 5
const indicator = 0

export function encodeIndex(records: readonly IndexRecord[]): Buffer {
  const parts = [Buffer.from([indicator, ...encodeVli(records.length)])]
  let size = parts[0]!.length
  for (const record of records) {
    const part = Buffer.from([...encodeVli(record.unpadded), ...encodeVli(record.uncompressed)])
    parts.push(part)
    size += part.length
  }
  parts.push(Buffer.alloc(padding(size)))
  return withCrc32(Buffer.concat(parts))
}

/**
 * Reads an index that fills `bytes` from its indicator to its CRC32. `offset` is where it lies in the file.
 * @throws E_DAMAGED with the place of the fault
 */
export function parseIndex(bytes: Uint8Array, offset: number): IndexRecord[] {
  if (bytes.length < 8 || bytes[0] !== indicator) {
    throw damaged('here the index should begin, as the stream footer says', offset)
  }
  const covered = bytes.subarray(0, bytes.length - crcSize)
  if (!crc32Holds(covered, bytes, covered.length)) throw damaged('the index does not match its CRC32', offset)
  const { value: count, next: first } = decodeVli(covered, 1, offset)
  // Two bytes is the least that a record takes: no list is made longer than its bytes can fill.
  if (count > (covered.length - first) / 2) throw damaged('the index is shorter than its records', offset + 1)
  const records: IndexRecord[] = []
  let at = first
  for (let i = 0; i < count; i++) {
    const unpadded = decodeVli(covered, at, offset)
    if (unpadded.value < minUnpadded) throw damaged('the index holds an impossible block size', offset + at)
    const uncompressed = decodeVli(covered, unpadded.next, offset)
    records.push({ unpadded: unpadded.value, uncompressed: uncompressed.value })
    at = uncompressed.next
  }
  if (covered.length - at !== padding(at))
    throw damaged('the index has bytes after its last record', offset + at)
  for (let i = at; i < covered.length; i++) {
    if (covered[i] !== 0) throw damaged('the padding of the index is not zero', offset + i)
  }
  return records
}

/** Zero bytes up to the next multiple of four. */
export function padding(size: number): number {
  return (4 - (size % 4)) % 4
}
