/** CRC-32 as zlib, xz and GPT use it (ISO-HDLC: polynomial 0xEDB88320, reflected, inverted). */
import { crc32 as zlibCrc32 } from 'node:zlib'

/** The CRC-32 of `bytes`, unsigned; `previous` is the CRC of what came before them. */
export function crc32(bytes: Uint8Array, previous = 0): number {
  return zlibCrc32(bytes, previous)
}
