/** How much room the changes take: asked before the first of them is made. */
import { FleetsieError } from '../../errors.ts'
import type { Creation, Diff } from '../tree/diff.ts'
import type { Fingerprint } from '../tree/fingerprint.ts'
import type { MergedNode } from '../tree/merged.ts'
import { dyingInodes } from './dying.ts'
import { xattrBytes } from './limits.ts'
import type { ExtReader } from './reader.ts'
import { incompat, roCompat, type Superblock } from './superblock.ts'

/** Fails with E_TOO_SMALL and the missing size. An estimate from above, exact but for folders that may have room already. */
export function assertRoom(reader: ExtReader, diff: Diff, what: string): void {
  const { superblock } = reader
  const need = { blocks: 0, inodes: 0 }
  for (const node of diff.created) {
    need.inodes++
    need.blocks += nodeBlocks(superblock, node)
  }
  for (const { creations } of diff.folders) {
    const growth = creations.length > 0 ? folderBlocks(superblock, creations, 0) : 0
    need.blocks += growth * superblock.clusterBlocks
    need.blocks += newFolders(superblock, creations)
  }
  const freed = freedBy(reader, diff)
  const blocks = need.blocks - freed.blocks - superblock.freeBlocks
  const inodes = need.inodes - freed.inodes - superblock.freeInodes
  const hint = 'give the image more room with the option `grow`'
  if (blocks > 0) {
    const missing = blocks * superblock.blockSize
    const free = superblock.freeBlocks * superblock.blockSize
    throw new FleetsieError(
      'E_TOO_SMALL',
      `${what} has ${free} bytes free; the layers need ${missing} bytes (${mebibytes(missing)}) more`,
      {
        hint: `${hint}: at least ${mebibytes(missing)}`,
      },
    )
  }
  if (inodes > 0) {
    throw new FleetsieError(
      'E_TOO_SMALL',
      `${what} has ${superblock.freeInodes} inodes free; the layers need ${inodes} more`,
      { hint },
    )
  }
}

function mebibytes(bytes: number): string {
  return `${(Math.ceil((bytes / 2 ** 20) * 10) / 10).toFixed(1)} MiB`
}

function nodeBlocks(superblock: Superblock, node: MergedNode): number {
  const { clusterBlocks } = superblock
  let blocks = 0
  if (node.content) blocks += fileBlocks(superblock, node.content)
  if (node.type === 'symlink' && node.target!.length >= 60) blocks += clusterBlocks
  const xattrs = node.attributes?.xattrs
  if (xattrs && xattrs.size > 0 && xattrBytes(xattrs) + 8 > superblock.inodeSize - 128 - 32)
    blocks += clusterBlocks
  return blocks
}

function fileBlocks(superblock: Superblock, { dataBlocks, runs }: Fingerprint): number {
  const { blockSize, clusterBlocks } = superblock
  const data =
    clusterBlocks === 1 ? dataBlocks : (Math.ceil(dataBlocks / clusterBlocks) + runs) * clusterBlocks
  if (superblock.incompat & incompat.extents) {
    const perBlock = Math.floor((blockSize - 16) / 12)
    return data + (runs > 4 ? (Math.ceil(runs / perBlock) + 1) * clusterBlocks : 0)
  }
  const perBlock = blockSize / 4
  const first =
    dataBlocks > 12 || runs > 1 ? Math.ceil(dataBlocks / perBlock) + Math.min(runs - 1, dataBlocks) : 0
  return data + first + (first > 1 ? 1 + Math.ceil(first / perBlock) : 0)
}

/** Blocks for the entries, one after the other; `start` bytes of the first are taken. */
function folderBlocks(superblock: Superblock, creations: readonly Creation[], start: number): number {
  const usable = superblock.blockSize - (superblock.roCompat & roCompat.metadataCsum ? 12 : 0)
  let blocks = 1
  let used = start
  for (const { name } of creations) {
    const length = (8 + name.length + 3) & ~3
    if (used + length > usable) {
      blocks++
      used = 0
    }
    used += length
  }
  return blocks
}

function newFolders(superblock: Superblock, creations: readonly Creation[]): number {
  let blocks = 0
  for (const { node, link, below } of creations) {
    if (link || node.type !== 'directory') continue
    const own = folderBlocks(superblock, below, 24)
    blocks +=
      Math.ceil(own / superblock.clusterBlocks) * superblock.clusterBlocks + newFolders(superblock, below)
  }
  return blocks
}

function freedBy(reader: ExtReader, diff: Diff): { blocks: number; inodes: number } {
  const dying = dyingInodes(reader, diff)
  const sectors = dying.reduce((sum, id) => sum + reader.inode(id).sectors, 0)
  return { blocks: Math.floor((sectors * 512) / reader.blockSize), inodes: dying.length }
}
