/** Variable-length integers of the .xz format (section 1.2): seven bits a byte, lowest first, at most nine bytes. */
import { damaged, unsupported } from './damage.ts'

const maxBytes = 9

/** The bytes of a VLI. Takes whole numbers from 0 to 2^53-1. */
export function encodeVli(value: number): number[] {
  if (!Number.isSafeInteger(value) || value < 0) throw unsupported(`${value} cannot stand in an .xz file`)
  const bytes: number[] = []
  let rest = value
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80)
    rest = Math.floor(rest / 0x80)
  }
  bytes.push(rest)
  return bytes
}

/**
 * Reads the VLI at `bytes[at]`. `base` is the offset of `bytes[0]` in the file, for messages.
 * @throws E_DAMAGED when it is cut off, too long or not in its shortest form; E_UNSUPPORTED from 2^53 on
 */
export function decodeVli(bytes: Uint8Array, at: number, base: number): { value: number; next: number } {
  let value = 0
  let scale = 1
  for (let i = 0; i < maxBytes; i++) {
    const byte = bytes[at + i]
    if (byte === undefined) throw damaged('a number is cut off', base + at + i)
    // The last byte of a number in its shortest form is never zero.
    if (byte === 0 && i > 0) throw damaged('a number has needless bytes', base + at + i)
    value += (byte & 0x7f) * scale
    if (value > Number.MAX_SAFE_INTEGER) throw unsupported('a number of 2^53 or more', base + at)
    if (byte < 0x80) return { value, next: at + i + 1 }
    scale *= 0x80
  }
  throw damaged('a number has more than nine bytes', base + at)
}
