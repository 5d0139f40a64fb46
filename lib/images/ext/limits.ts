/** What an ext filesystem can hold of a layer. debugfs checks little of it: a name of 256 bytes ruins the folder. */
import { FleetsieError } from '../../errors.ts'
import type { LayerEntry } from '../../formats/layer/entry.ts'
import { incompat, type Superblock } from './superblock.ts'

const maxName = 255
const maxTarget = 4095
const maxXattrName = 255
const maxId = 0xffff_fffe
const compatXattr = 0x8
const roLargeFile = 0x2
const prefixes = ['user.', 'trusted.', 'security.', 'system.']

export function checkExtEntry(superblock: Superblock, entry: LayerEntry): void {
  const refuse = (why: string): never => {
    throw new FleetsieError('E_INPUT', `${JSON.stringify(entry.path)} ${why}`)
  }
  for (const part of entry.path.split('/')) {
    if (Buffer.byteLength(part) > maxName) refuse(`has a name of more than ${maxName} bytes`)
    if (part.includes('\0')) refuse('has a zero byte in its name')
    if (part === '.' || part === '..') refuse('has . or .. in its path')
  }
  if (entry.type === 'whiteout' || entry.type === 'opaque') return
  for (const id of [entry.uid, entry.gid]) {
    if (!Number.isInteger(id) || id < 0 || id > maxId) refuse(`has the owner or group ${id}`)
  }
  checkXattrs(superblock, entry.xattrs, refuse)
  if (entry.type === 'symlink') {
    const length = Buffer.byteLength(entry.target)
    const limit = Math.min(maxTarget, superblock.blockSize - 1)
    if (length === 0 || length > limit)
      refuse(`is a symlink with a target of ${length} bytes; here it can have 1 to ${limit}`)
    if (entry.target.includes('\0')) refuse('is a symlink whose target holds a zero byte')
  }
  if (entry.type === 'character' || entry.type === 'block') {
    if (entry.major > 0xfff || entry.minor > 0xfffff)
      refuse(`is a device ${entry.major}:${entry.minor}; the limits are 4095:1048575`)
  }
  if (entry.type === 'file') {
    if (entry.size > maxFile(superblock))
      refuse(`has ${entry.size} bytes, more than this filesystem takes for one file`)
    // libext2fs would switch the feature on.
    if (entry.size >= 2 ** 31 && !(superblock.roCompat & roLargeFile))
      refuse('has 2 GiB or more, and the filesystem lacks large_file')
  }
}

function maxFile(superblock: Superblock): number {
  const { blockSize } = superblock
  if (superblock.incompat & incompat.extents) return (2 ** 32 - 1) * blockSize
  const perBlock = blockSize / 4
  return Math.min((12 + perBlock + perBlock ** 2 + perBlock ** 3) * blockSize, 2 ** 41 - blockSize)
}

function checkXattrs(
  superblock: Superblock,
  xattrs: Map<string, Buffer>,
  refuse: (why: string) => never,
): void {
  if (xattrs.size === 0) return
  if (!(superblock.compat & compatXattr)) refuse('has extended attributes, and the filesystem lacks ext_attr')
  for (const name of xattrs.keys()) {
    if (!prefixes.some((prefix) => name.startsWith(prefix)))
      refuse(`has an extended attribute of an unknown kind: ${name}`)
    if (/[\r\n]/.test(name)) refuse('has an extended attribute with a line break in its name')
    if (Buffer.byteLength(name) > maxXattrName)
      refuse(`has an extended attribute with a name of more than ${maxXattrName} bytes`)
  }
  // debugfs cuts a longer value off without a word.
  if (xattrBytes(xattrs) > superblock.blockSize - 36) {
    refuse(`has more extended attributes than fit into a block of ${superblock.blockSize} bytes`)
  }
}

/** Bytes that the attributes take, as Linux's fs/ext4/xattr.h counts. */
export function xattrBytes(xattrs: Map<string, Buffer>): number {
  let sum = 0
  for (const [name, value] of xattrs) sum += 16 + pad(Buffer.byteLength(name)) + pad(value.length)
  return sum
}

function pad(length: number): number {
  return (length + 3) & ~3
}
