/** Archives as nobody should write them, member by member. */
import { encodeHeader, type TarHeader } from '../../lib/formats/tar/header.ts'
import { encodePax } from '../../lib/formats/tar/pax.ts'

export const end = Buffer.alloc(1024)

/** A member as some archive may hold it: nothing here is checked. */
export function member(
  name: string | Buffer,
  more: Partial<Omit<TarHeader, 'linkName'>> & { link?: string | Buffer; data?: Buffer } = {},
): Buffer {
  const { link = '', data = Buffer.alloc(0), ...header } = more
  const block = encodeHeader({
    name: Buffer.from(name),
    mode: 0o644,
    uid: 0,
    gid: 0,
    size: data.length,
    mtime: 0,
    type: '0',
    linkName: Buffer.from(link),
    major: 0,
    minor: 0,
    ...header,
  })
  return Buffer.concat([block, data, Buffer.alloc(-data.length & 511)])
}

export const pax = (records: Record<string, string | Buffer>, type = 'x'): Buffer =>
  member('PaxHeaders/x', {
    type,
    data: encodePax(Object.entries(records).map(([key, value]) => [key, Buffer.from(value)])),
  })

/** Changes bytes of a header and mends its checksum. */
export function patched(block: Buffer, at: number, value: Buffer | string): Buffer {
  const copy = Buffer.from(block)
  Buffer.from(value).copy(copy, at)
  copy.fill(' ', 148, 156)
  const sum = copy.subarray(0, 512).reduce((total, byte) => total + byte, 0)
  copy.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return copy
}
