/** Numbers in tar headers: octal text, or base-256 where GNU tar and bsdtar need more room. */
import { FleetsieError } from '../../errors.ts'

/** Reads a field; an empty one is 0. `where` names it in errors (E_DAMAGED). */
export function decodeNumber(field: Buffer, where: string): number {
  return field[0]! & 0x80 ? decodeBinary(field, where) : decodeOctal(field, where)
}

function decodeOctal(field: Buffer, where: string): number {
  // Old writers pad with spaces in front and end with a space, a NUL or nothing.
  const text = field.toString('latin1').split('\0', 1)[0]!.trim()
  if (text === '') return 0
  if (!/^[0-7]+$/.test(text)) {
    throw new FleetsieError('E_DAMAGED', `${where} is no octal number: ${JSON.stringify(text)}`)
  }
  return Number.parseInt(text, 8)
}

/** Two's complement, big-endian; bit 7 of the first byte only marks the form. */
function decodeBinary(field: Buffer, where: string): number {
  const negative = (field[0]! & 0x40) !== 0
  let value = BigInt(negative ? field[0]! - 256 : field[0]! & 0x3f)
  for (const byte of field.subarray(1)) value = value * 256n + BigInt(byte)
  const number = Number(value)
  if (!Number.isSafeInteger(number)) {
    throw new FleetsieError('E_DAMAGED', `${where} is out of every range: ${value}`)
  }
  return number
}

/** The largest number that a field of `width` bytes holds, with its closing NUL. */
export const octalLimit = (width: number): number => 8 ** (width - 1) - 1

/** Octal with leading zeros and a closing NUL. The caller has checked the range. */
export function encodeOctal(value: number, width: number): string {
  return `${value.toString(8).padStart(width - 1, '0')}\0`
}
