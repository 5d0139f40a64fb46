/** The superblock of ext2, ext3 and ext4: include/uapi of Linux's fs/ext4/ext4.h, struct ext4_super_block. */
import { FleetsieError } from '../../errors.ts'
import type { Window } from '../window.ts'
import { crc32c } from './crc32c.ts'

export const superblockAt = 1024
const superblockSize = 1024

export const compat = { hasJournal: 0x4, sparseSuper2: 0x200 } as const
export const incompat = {
  recover: 0x4,
  journalDevice: 0x8,
  metaBg: 0x10,
  extents: 0x40,
  is64bit: 0x80,
  mmp: 0x100,
  eaInode: 0x400,
  inlineData: 0x8000,
} as const
export const roCompat = {
  sparseSuper: 0x1,
  gdtCsum: 0x10,
  quota: 0x100,
  bigalloc: 0x200,
  metadataCsum: 0x400,
  project: 0x2000,
  sharedBlocks: 0x4000,
} as const

export interface Superblock {
  raw: Buffer
  inodes: number
  blocks: number
  freeBlocks: number
  freeInodes: number
  firstDataBlock: number
  blockSize: number
  /** Blocks in one unit of the block bitmap; 1 without bigalloc. */
  clusterBlocks: number
  blocksPerGroup: number
  inodesPerGroup: number
  inodeSize: number
  descriptorSize: number
  groups: number
  state: number
  compat: number
  incompat: number
  roCompat: number
  /** Seconds since 1970. */
  writeTime: number
  mountTime: number
  checkTime: number
}

/** Reads the superblock and checks what later arithmetic relies on. Errors: E_DAMAGED. */
export function readSuperblock(window: Window): Superblock {
  if (window.size < superblockAt + superblockSize) throw damaged('the partition is too small for one')
  const raw = window.read(superblockAt, superblockSize)
  if (raw.readUInt16LE(0x38) !== 0xef53) throw damaged('there is no ext superblock')
  const logBlock = raw.readUInt32LE(0x18)
  if (logBlock > 6) throw damaged(`block size 2^${logBlock + 10}`)
  const blockSize = 1024 << logBlock
  const dynamic = raw.readUInt32LE(0x4c) > 0
  const features = {
    compat: raw.readUInt32LE(0x5c),
    incompat: raw.readUInt32LE(0x60),
    ro: raw.readUInt32LE(0x64),
  }
  const wide = (features.incompat & incompat.is64bit) !== 0
  const high = (at: number): number => (wide ? raw.readUInt32LE(at) * 2 ** 32 : 0)
  const blocks = raw.readUInt32LE(0x4) + high(0x150)
  const firstDataBlock = raw.readUInt32LE(0x14)
  const blocksPerGroup = raw.readUInt32LE(0x20)
  const logCluster = features.ro & roCompat.bigalloc ? raw.readUInt32LE(0x1c) - logBlock : 0
  const superblock: Superblock = {
    raw,
    inodes: raw.readUInt32LE(0),
    blocks,
    freeBlocks: raw.readUInt32LE(0xc) + high(0x158),
    freeInodes: raw.readUInt32LE(0x10),
    firstDataBlock,
    blockSize,
    clusterBlocks: 2 ** logCluster,
    blocksPerGroup,
    inodesPerGroup: raw.readUInt32LE(0x28),
    inodeSize: dynamic ? raw.readUInt16LE(0x58) : 128,
    descriptorSize: wide ? raw.readUInt16LE(0xfe) : 32,
    groups: Math.ceil((blocks - firstDataBlock) / blocksPerGroup),
    state: raw.readUInt16LE(0x3a),
    compat: features.compat,
    incompat: features.incompat,
    roCompat: features.ro,
    writeTime: raw.readUInt32LE(0x30),
    mountTime: raw.readUInt32LE(0x2c),
    checkTime: raw.readUInt32LE(0x40),
  }
  if (logCluster < 0 || logCluster > 20) throw damaged('its cluster size is impossible')
  // mke2fs makes none below 256. Tiny ones would be millions in a small filesystem.
  if (blocksPerGroup < 256 || blocksPerGroup > blockSize * 8 * superblock.clusterBlocks)
    throw damaged('its groups are impossible')
  if (superblock.inodesPerGroup === 0 || superblock.inodesPerGroup > blockSize * 8)
    throw damaged('its inode tables are impossible')
  if (!isPowerOfTwo(superblock.inodeSize) || superblock.inodeSize < 128 || superblock.inodeSize > blockSize)
    throw damaged('its inode size is impossible')
  if (superblock.inodes < 1 || superblock.inodes > superblock.groups * superblock.inodesPerGroup)
    throw damaged(`it has ${superblock.inodes} inodes in ${superblock.groups} groups`)
  if (superblock.descriptorSize < 32 || superblock.descriptorSize > 1024)
    throw damaged('its descriptors are impossible')
  if (blocks * blockSize > window.size)
    throw damaged(`it is larger (${blocks * blockSize} bytes) than its partition (${window.size})`)
  return superblock
}

const isPowerOfTwo = (value: number): boolean => (value & (value - 1)) === 0

function damaged(what: string): FleetsieError {
  return new FleetsieError('E_DAMAGED', `this is not a sound ext filesystem: ${what}`)
}

/** Whether group `index` holds a copy of the superblock and the descriptors. */
export function hasBackup(superblock: Superblock, index: number): boolean {
  if (index === 0) return true
  if (superblock.compat & compat.sparseSuper2) {
    return index === superblock.raw.readUInt32LE(0x24c) || index === superblock.raw.readUInt32LE(0x250)
  }
  if (index === 1 || !(superblock.roCompat & roCompat.sparseSuper)) return true
  return [3, 5, 7].some((base) => {
    let power = base
    while (power < index) power *= base
    return power === index
  })
}

/**
 * Gives the superblock the write time `epoch` and the lifetime count of written KiB that it had before:
 * that count follows how the tool wrote, not what.
 */
export function settleSuperblock(window: Window, before: Superblock, epoch: number): void {
  const raw = window.read(superblockAt, superblockSize)
  raw.writeUInt32LE(epoch >>> 0, 0x30)
  // The upper byte of the write time.
  raw[0x274] = Math.floor(epoch / 2 ** 32) & 0xff
  before.raw.copy(raw, 0x178, 0x178, 0x180)
  if (before.roCompat & roCompat.metadataCsum)
    raw.writeUInt32LE(crc32c(0xffffffff, raw.subarray(0, 0x3fc)), 0x3fc)
  window.write(superblockAt, raw)
}
