/** Block groups of ext: where the descriptors are, and where each group keeps its bitmaps and inode table. */
import type { Window } from '../window.ts'
import { compat, hasBackup, incompat, roCompat, type Superblock } from './superblock.ts'

export interface Group {
  blockBitmap: number
  inodeBitmap: number
  inodeTable: number
  /** The block bitmap was never written: only metadata is in use here. */
  blocksUninitialised: boolean
  /** Inodes at the end of the table that were never in use; 0 where the filesystem does not count them. */
  unusedInodes: number
}

export function groupStart(superblock: Superblock, index: number): number {
  return superblock.firstDataBlock + index * superblock.blocksPerGroup
}

/** The block that holds descriptor block `index`. */
function descriptorBlock(superblock: Superblock, index: number): number {
  const meta = (superblock.incompat & incompat.metaBg) !== 0
  if (!meta || index < superblock.raw.readUInt32LE(0x104)) return superblock.firstDataBlock + 1 + index
  const perBlock = Math.floor(superblock.blockSize / superblock.descriptorSize)
  const group = index * perBlock
  return groupStart(superblock, group) + (hasBackup(superblock, group) ? 1 : 0)
}

export function readGroups(window: Window, superblock: Superblock): Group[] {
  const { blockSize, descriptorSize, groups } = superblock
  const perBlock = Math.floor(blockSize / descriptorSize)
  const counted = (superblock.roCompat & (roCompat.gdtCsum | roCompat.metadataCsum)) !== 0
  const found: Group[] = []
  let block: Buffer = Buffer.alloc(0)
  for (let index = 0; index < groups; index++) {
    if (index % perBlock === 0)
      block = window.read(descriptorBlock(superblock, index / perBlock) * blockSize, blockSize)
    const at = (index % perBlock) * descriptorSize
    const field = (low: number, high: number): number =>
      block.readUInt32LE(at + low) + (descriptorSize >= 64 ? block.readUInt32LE(at + high) * 2 ** 32 : 0)
    const flags = block.readUInt16LE(at + 0x12)
    const unused =
      block.readUInt16LE(at + 0x1c) + (descriptorSize >= 64 ? block.readUInt16LE(at + 0x32) * 65536 : 0)
    found.push({
      blockBitmap: field(0, 0x20),
      inodeBitmap: field(4, 0x24),
      inodeTable: field(8, 0x28),
      blocksUninitialised: (flags & 2) !== 0,
      unusedInodes: counted ? Math.min(unused, superblock.inodesPerGroup) : 0,
    })
  }
  return found
}

/**
 * Blocks that hold no files' content, as [first, count]: superblocks, descriptors, bitmaps, inode tables; of these only as
 * much as was ever in use, with `tables` 'used'.
 */
export function* metadataBlocks(
  superblock: Superblock,
  groups: readonly Group[],
  tables: 'all' | 'used',
): Generator<[number, number]> {
  const { blockSize, descriptorSize } = superblock
  const perBlock = Math.floor(blockSize / descriptorSize)
  const all = Math.ceil(superblock.groups / perBlock)
  const meta = (superblock.incompat & incompat.metaBg) !== 0
  const plain = meta ? Math.min(all, superblock.raw.readUInt32LE(0x104)) : all
  const reserved = superblock.compat & 0x10 ? superblock.raw.readUInt16LE(0xce) : 0
  // Block 0 with the boot sector, in front of the first group where blocks have 1 KiB.
  if (superblock.firstDataBlock > 0) yield [0, superblock.firstDataBlock]
  for (const [index, group] of groups.entries()) {
    const start = groupStart(superblock, index)
    const backup = hasBackup(superblock, index)
    const sparse2 = (superblock.compat & compat.sparseSuper2) !== 0
    if (backup) yield [start, 1 + plain + (sparse2 && index > 0 ? 0 : reserved)]
    if (meta) {
      const inMeta = index % perBlock
      // The first, second and last group of each meta group hold its descriptors.
      if (index >= plain * perBlock && (inMeta < 2 || inMeta === perBlock - 1))
        yield [start + (backup ? 1 : 0), 1]
    }
    yield [group.blockBitmap, 1]
    yield [group.inodeBitmap, 1]
    const inodes = superblock.inodesPerGroup - (tables === 'used' ? group.unusedInodes : 0)
    if (inodes > 0) yield [group.inodeTable, Math.ceil((inodes * superblock.inodeSize) / blockSize)]
  }
}
