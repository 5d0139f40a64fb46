/** The twelve bytes before and after each stream (sections 2.1.1 and 2.1.2). */

import { knownCheck } from './check.ts'
import { crc32Holds, crcSize, withCrc32 } from './crc32.ts'
import { damaged, unsupported } from './damage.ts'

export const streamHeaderSize = 12
export const streamFooterSize = 12
export const headerMagic = Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00])
const footerMagic = Buffer.from('YZ')

/** @throws E_UNSUPPORTED for a reserved check */
export function streamHeader(check: number): Buffer {
  return Buffer.concat([headerMagic, withCrc32(flags(check))])
}

/** `indexSize`: bytes of the index with its CRC32. */
export function streamFooter(check: number, indexSize: number): Buffer {
  const stored = indexSize / 4 - 1
  if (!Number.isInteger(stored) || stored < 1 || stored > 0xffffffff) {
    throw unsupported(`an index of ${indexSize} bytes`)
  }
  const fields = Buffer.concat([Buffer.alloc(4), flags(check)])
  fields.writeUInt32LE(stored)
  const covered = withCrc32(fields)
  return Buffer.concat([covered.subarray(-crcSize), fields, footerMagic])
}

/** The check's id, 0 to 15. `offset` is where `bytes` lie in the file. */
export function parseStreamHeader(bytes: Uint8Array, offset: number): { check: number } {
  if (bytes.length < streamHeaderSize) throw damaged('the stream header is cut off', offset + bytes.length)
  if (!headerMagic.equals(bytes.subarray(0, headerMagic.length))) {
    throw damaged('here a stream should begin, but its magic bytes are missing', offset)
  }
  const field = bytes.subarray(6, 8)
  if (!crc32Holds(field, bytes, 8)) throw damaged('the stream header does not match its CRC32', offset + 8)
  return { check: parseFlags(field, offset + 6) }
}

/** The check's id and how many bytes before the footer the index begins. */
export function parseStreamFooter(bytes: Uint8Array, offset: number): { check: number; indexSize: number } {
  if (bytes.length < streamFooterSize) throw damaged('the stream footer is cut off', offset + bytes.length)
  if (!footerMagic.equals(bytes.subarray(10, 12))) {
    throw damaged('no stream ends here: the file is cut off, or something follows it', offset + 10)
  }
  const covered = bytes.subarray(4, 10)
  if (!crc32Holds(covered, bytes, 0)) throw damaged('the stream footer does not match its CRC32', offset)
  const check = parseFlags(bytes.subarray(8, 10), offset + 8)
  const stored = new DataView(bytes.buffer, bytes.byteOffset).getUint32(4, true)
  return { check, indexSize: (stored + 1) * 4 }
}

function flags(check: number): Buffer {
  return Buffer.from([0, knownCheck(check)])
}

function parseFlags(field: Uint8Array, offset: number): number {
  if (field[0] !== 0 || (field[1]! & 0xf0) !== 0) {
    throw unsupported('the stream flags use reserved bits, from a later version of the format', offset)
  }
  return field[1]!
}
