/** The CRC32 fields that follow each header, index and footer. */
import { crc32 } from '../crc32.ts'

export const crcSize = 4

export function withCrc32(bytes: Uint8Array): Buffer {
  const crc = Buffer.alloc(crcSize)
  crc.writeUInt32LE(crc32(bytes))
  return Buffer.concat([bytes, crc])
}

/** Whether the four bytes at `at` hold the CRC32 of `covered`. */
export function crc32Holds(covered: Uint8Array, bytes: Uint8Array, at: number): boolean {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(at, true) === crc32(covered)
}
