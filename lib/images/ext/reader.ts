/** Reads ext2, ext3 and ext4 without a mount and without a process: what planning, verifying and reading files need. */
import { FleetsieError } from '../../errors.ts'
import type { Volume, VolumeNode } from '../volume.ts'
import type { Window } from '../window.ts'
import { type BlockRun, blockRuns } from './blocks.ts'
import { type Group, readGroups } from './groups.ts'
import { decodeInode, type Inode, inodeFlags, readTime } from './inode.ts'
import { readSuperblock, type Superblock } from './superblock.ts'
import { blockXattrs, inlineDataName, inodeXattrs } from './xattrs.ts'

const cachedBlocks = 2048
const pieceBytes = 1024 * 1024
/** More than any real folder: a damaged size must not eat the memory. */
const maxFolderBytes = 1024 * 1024 * 1024

export class ExtReader implements Volume {
  readonly rootId = 2
  readonly foldsCase = false
  readonly superblock: Superblock
  readonly groups: Group[]
  private readonly window: Window
  private readonly cache = new Map<number, Buffer>()

  constructor(window: Window) {
    this.window = window
    this.superblock = readSuperblock(window)
    this.groups = readGroups(window, this.superblock)
  }

  get blockSize(): number {
    return this.superblock.blockSize
  }

  get blocks(): number {
    return this.superblock.blocks
  }

  readBlock(block: number): Buffer {
    let bytes = this.cache.get(block)
    if (bytes === undefined) {
      bytes = this.window.read(block * this.blockSize, this.blockSize)
      if (this.cache.size >= cachedBlocks) this.cache.clear()
      this.cache.set(block, bytes)
    }
    return bytes
  }

  inode(number: number): Inode {
    const { inodes, inodesPerGroup, inodeSize } = this.superblock
    if (!(number >= 1 && number <= inodes)) throw damaged(`there is no inode ${number}`)
    const group = this.groups[Math.floor((number - 1) / inodesPerGroup)]!
    const at = ((number - 1) % inodesPerGroup) * inodeSize
    const block = this.readBlock(group.inodeTable + Math.floor(at / this.blockSize))
    const within = at % this.blockSize
    const inode = decodeInode(block.subarray(within, within + inodeSize), number, this.blockSize)
    if (inode === undefined) throw damaged(`inode ${number} is in use but has no type`)
    return inode
  }

  node(id: number): VolumeNode {
    const inode = this.inode(id)
    const { type, mode, uid, gid, size, links } = inode
    return { id, type, mode, uid, gid, size, links, mtime: readTime(inode, 'mtime') }
  }

  runs(inode: Inode, onIndex?: (block: number) => void): Generator<BlockRun> {
    return blockRuns(this, inode, onIndex)
  }

  list(id: number): Map<string, number> {
    const inode = this.inode(id)
    if (inode.type !== 'directory') throw damaged(`inode ${id} is no folder`)
    if (inode.flags & inodeFlags.encrypted) {
      throw new FleetsieError('E_UNSUPPORTED', `the folder with inode ${id} is encrypted`)
    }
    const names = new Map<string, number>()
    if (inode.size > maxFolderBytes) throw damaged(`the folder with inode ${id} claims ${inode.size} bytes`)
    if (inode.flags & inodeFlags.inlineData) {
      const [first, rest] = this.inlineParts(inode)
      parseFolder(first.subarray(4), names)
      parseFolder(rest, names)
      return names
    }
    for (const { bytes } of this.pieces(id)) {
      for (let at = 0; at < bytes.length; at += this.blockSize)
        parseFolder(bytes.subarray(at, at + this.blockSize), names)
    }
    return names
  }

  target(id: number): string {
    const inode = this.inode(id)
    if (inode.type !== 'symlink') throw damaged(`inode ${id} is no symlink`)
    // A short target is in the block map's place; such an inode has no blocks except for attributes.
    const own =
      inode.sectors - (inode.xattrBlock ? (this.blockSize * this.superblock.clusterBlocks) / 512 : 0)
    if (!(inode.flags & inodeFlags.inlineData) && inode.size < 60 && own === 0) {
      return inode.raw.toString('latin1', 0x28, 0x28 + inode.size)
    }
    if (inode.size > 65536) throw damaged(`the symlink with inode ${id} claims ${inode.size} bytes`)
    const whole = Buffer.alloc(inode.size)
    for (const { at, bytes } of this.pieces(id)) bytes.copy(whole, at)
    return whole.toString('latin1')
  }

  *pieces(id: number): Generator<{ at: number; bytes: Buffer }> {
    const inode = this.inode(id)
    if (inode.flags & inodeFlags.inlineData) {
      const all = Buffer.concat(this.inlineParts(inode))
      if (inode.size > all.length) throw damaged(`inode ${id} holds less than its size`)
      if (inode.size > 0) yield { at: 0, bytes: all.subarray(0, inode.size) }
      return
    }
    for (const run of this.runs(inode)) {
      if (run.unwritten) continue
      const end = Math.min((run.logical + run.count) * this.blockSize, inode.size)
      for (let at = run.logical * this.blockSize; at < end; at += pieceBytes) {
        const position = run.physical * this.blockSize + (at - run.logical * this.blockSize)
        yield { at, bytes: this.window.read(position, Math.min(pieceBytes, end - at)) }
      }
    }
  }

  /** All attributes except where inline data is kept; names sorted. */
  xattrs(inode: Inode): Map<string, Buffer> {
    const found = this.allXattrs(inode)
    found.delete(inlineDataName)
    return new Map([...found].sort(([a], [b]) => (a < b ? -1 : 1)))
  }

  private allXattrs(inode: Inode): Map<string, Buffer> {
    const found = new Map<string, Buffer>()
    const value = (number: number, size: number): Buffer => {
      if (size > 64 * 1024 * 1024) throw damaged(`an attribute of inode ${inode.number} claims ${size} bytes`)
      const whole = Buffer.alloc(size)
      for (const { at, bytes } of this.pieces(number)) bytes.copy(whole, at)
      return whole
    }
    inodeXattrs(inode.raw, inode.extra, value, found)
    if (inode.xattrBlock) blockXattrs(this.readBlock(inode.xattrBlock), value, found)
    return found
  }

  /** Whether an inode says that its content is inside of it, and has not got all of it. */
  losesInline(inode: Inode): boolean {
    if (!(inode.flags & inodeFlags.inlineData)) return false
    const [first, rest] = this.inlineParts(inode)
    return inode.size > first.length + rest.length
  }

  private inlineParts(inode: Inode): [Buffer, Buffer] {
    return [inode.raw.subarray(0x28, 0x64), this.allXattrs(inode).get(inlineDataName) ?? Buffer.alloc(0)]
  }
}

function parseFolder(block: Buffer, names: Map<string, number>): void {
  let at = 0
  while (at + 8 <= block.length) {
    const inode = block.readUInt32LE(at)
    const stored = block.readUInt16LE(at + 4)
    // A whole block of 64 KiB does not fit into the field.
    const length = stored === 0 || stored === 65535 ? 65536 : stored
    const nameLength = block[at + 6]!
    if (length < 8 || at + length > block.length || (inode && 8 + nameLength > length))
      throw damaged('a folder entry is impossible')
    if (inode) {
      const name = block.toString('latin1', at + 8, at + 8 + nameLength)
      if (name !== '.' && name !== '..') names.set(name, inode)
    }
    at += length
  }
}

function damaged(what: string): FleetsieError {
  return new FleetsieError('E_DAMAGED', `the filesystem is damaged: ${what}`, {
    hint: 'check the image with `e2fsck -fn`',
  })
}
