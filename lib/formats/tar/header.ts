/**
 * The 512-byte header of a tar member: POSIX.1-1988 ustar, read also in the GNU and v7 forms.
 * Source: POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format".
 */
import { FleetsieError } from '../../errors.ts'
import { decodeNumber, encodeOctal } from './numbers.ts'

export const blockSize = 512

export interface TarHeader {
  name: Buffer
  mode: number
  uid: number
  gid: number
  size: number
  mtime: number
  /** One character, '\0' read as '0'. */
  type: string
  linkName: Buffer
  major: number
  minor: number
}

const checksumAt = 148
const checksumEnd = 156

/** Reads a header; nothing for a block of zeros. Fails with E_DAMAGED; `where` is the start of the message. */
export function decodeHeader(block: Buffer, where: string): TarHeader | undefined {
  if (isZero(block)) return undefined
  checkSum(block, where)
  const magic = block.toString('latin1', 257, 263)
  const posix = magic === 'ustar\0'
  const known = posix || magic === 'ustar '
  const number = (start: number, end: number, what: string): number =>
    decodeNumber(block.subarray(start, end), `${where}: the ${what}`)
  const type = String.fromCharCode(block[156]!)
  const prefix = posix ? text(block, 345, 500) : Buffer.alloc(0)
  const name = text(block, 0, 100)
  const device = type === '3' || type === '4'
  return {
    // GNU's own format keeps times where ustar has the prefix.
    name: prefix.length === 0 ? name : Buffer.concat([prefix, Buffer.from('/'), name]),
    mode: number(100, 108, 'mode') & 0o7777,
    uid: number(108, 116, 'uid'),
    gid: number(116, 124, 'gid'),
    size: number(124, 136, 'size'),
    mtime: number(136, 148, 'time'),
    type: type === '\0' ? '0' : type,
    linkName: text(block, 157, 257),
    major: known && device ? number(329, 337, 'major device number') : 0,
    minor: known && device ? number(337, 345, 'minor device number') : 0,
  }
}

function text(block: Buffer, start: number, end: number): Buffer {
  const field = block.subarray(start, end)
  const zero = field.indexOf(0)
  return Buffer.from(zero < 0 ? field : field.subarray(0, zero))
}

export function isZero(block: Buffer): boolean {
  return block.every((byte) => byte === 0)
}

/** Some old writers summed signed bytes, so either sum will do. */
function checkSum(block: Buffer, where: string): void {
  let unsigned = 0
  let signed = 0
  for (let i = 0; i < blockSize; i++) {
    const byte = i >= checksumAt && i < checksumEnd ? 0x20 : block[i]!
    unsigned += byte
    signed += byte < 0x80 ? byte : byte - 256
  }
  const stored = decodeNumber(block.subarray(checksumAt, checksumEnd), `${where}: the checksum`)
  if (stored === unsigned || stored === signed) return
  throw new FleetsieError(
    'E_DAMAGED',
    `${where}: the header's checksum is ${stored}, its bytes give ${unsigned}`,
  )
}

/** Writes a header. `name` has at most 100 bytes, `prefix` 155; every number is in the range of its field. */
export function encodeHeader(header: TarHeader & { prefix?: Buffer }): Buffer {
  const block = Buffer.alloc(blockSize)
  header.name.copy(block, 0, 0, 100)
  block.write(encodeOctal(header.mode, 8), 100, 'latin1')
  block.write(encodeOctal(header.uid, 8), 108, 'latin1')
  block.write(encodeOctal(header.gid, 8), 116, 'latin1')
  block.write(encodeOctal(header.size, 12), 124, 'latin1')
  block.write(encodeOctal(header.mtime, 12), 136, 'latin1')
  block.write(' '.repeat(8) + header.type, checksumAt, 'latin1')
  header.linkName.copy(block, 157, 0, 100)
  block.write('ustar\x0000', 257, 'latin1')
  block.write(encodeOctal(header.major, 8) + encodeOctal(header.minor, 8), 329, 'latin1')
  header.prefix?.copy(block, 345, 0, 155)
  let sum = 0
  for (let i = 0; i < blockSize; i++) sum += block[i]!
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, checksumAt, 'latin1')
  return block
}
