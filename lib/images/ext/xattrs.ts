/** Extended attributes of ext: Linux's fs/ext4/xattr.h and acl.h. Names and values as Linux programs see them. */

const prefixes: Record<number, string> = {
  0: '',
  1: 'user.',
  2: 'system.posix_acl_access',
  3: 'system.posix_acl_default',
  4: 'trusted.',
  6: 'security.',
  7: 'system.',
  8: 'system.richacl',
}
const magic = 0xea020000

/** Where inline data continues; no attribute of the user's. */
export const inlineDataName = 'system.data'

type ReadValueInode = (inode: number, size: number) => Buffer

/** Attributes in the inode's own body. */
export function inodeXattrs(
  raw: Buffer,
  extra: number,
  readValue: ReadValueInode,
  into: Map<string, Buffer>,
): void {
  const at = 128 + extra
  if (raw.length < at + 8 || extra === 0 || raw.readUInt32LE(at) !== magic) return
  const area = raw.subarray(at + 4)
  entries(area, area, readValue, into)
}

/** Attributes in a block of their own. */
export function blockXattrs(block: Buffer, readValue: ReadValueInode, into: Map<string, Buffer>): void {
  if (block.readUInt32LE(0) !== magic) return
  entries(block.subarray(32), block, readValue, into)
}

function entries(list: Buffer, values: Buffer, readValue: ReadValueInode, into: Map<string, Buffer>): void {
  let at = 0
  while (at + 16 <= list.length && list.readUInt32LE(at) !== 0) {
    const nameLength = list[at]!
    const index = list[at + 1]!
    const offset = list.readUInt16LE(at + 2)
    const inode = list.readUInt32LE(at + 4)
    const size = list.readUInt32LE(at + 8)
    const name =
      (prefixes[index] ?? `unknown${index}.`) +
      list.subarray(at + 16, at + 16 + nameLength).toString('latin1')
    const value = inode ? readValue(inode, size) : Buffer.from(values.subarray(offset, offset + size))
    into.set(name, index === 2 || index === 3 ? aclForPrograms(value) : value)
    at += (16 + nameLength + 3) & ~3
  }
}

/** On disk an ACL has version 1 and no ids where none is needed; programs see version 2 with ids everywhere. */
function aclForPrograms(disk: Buffer): Buffer {
  if (disk.length < 4 || disk.readUInt32LE(0) !== 1) return disk
  const parts: Buffer[] = [Buffer.from([2, 0, 0, 0])]
  let at = 4
  while (at + 4 <= disk.length) {
    const tag = disk.readUInt16LE(at)
    const named = tag === 0x02 || tag === 0x08
    const entry = Buffer.alloc(8, 0xff)
    disk.copy(entry, 0, at, at + 4)
    if (named && at + 8 <= disk.length) disk.copy(entry, 4, at + 4, at + 8)
    parts.push(entry)
    at += named ? 8 : 4
  }
  return Buffer.concat(parts)
}
