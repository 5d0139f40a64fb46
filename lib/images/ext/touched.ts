/** Which blocks an edit may have written: more than it did, never less. Found without comparing the disk. */
import type { Diff } from '../tree/diff.ts'
import type { MergedNode } from '../tree/merged.ts'
import { metadataBlocks } from './groups.ts'
import type { Inode } from './inode.ts'
import { inodeFlags } from './inode.ts'
import type { ExtReader } from './reader.ts'

type Blocks = [first: number, count: number]

/**
 * What the edit will give up, to be asked before it: blocks of attributes, and folders, which lose their names one by
 * one before they are freed.
 */
export function blocksBefore(reader: ExtReader, diff: Diff, dying: readonly number[]): Blocks[] {
  const blocks = [...keptFolders(reader, diff), ...dying].flatMap((id) => xattrBlock(reader.inode(id)))
  for (const id of dying)
    if (reader.inode(id).type === 'directory') blocks.push(...allBlocks(reader, reader.inode(id)))
  return blocks
}

/** As [position, length] in bytes of the partition. */
export function touchedPlaces(
  after: ExtReader,
  diff: Diff,
  inodes: Map<MergedNode, number>,
  before: readonly Blocks[],
): [number, number][] {
  // An inode that was used for a moment counts as used from then on.
  const blocks: Blocks[] = [...metadataBlocks(after.superblock, after.groups, 'used'), ...before]
  for (const id of [...keptFolders(after, diff), ...diff.created.map((node) => inodes.get(node)!)]) {
    const inode = after.inode(id)
    blocks.push(...xattrBlock(inode), ...allBlocks(after, inode))
  }
  return blocks.map(([first, count]) => [first * after.blockSize, count * after.blockSize])
}

/** The top folder has stand-ins now and then. */
function keptFolders(reader: ExtReader, diff: Diff): number[] {
  return [reader.rootId, ...diff.folders.map(({ id }) => id), ...diff.restyled.map((node) => node.origin!)]
}

function xattrBlock(inode: Inode): Blocks[] {
  return inode.xattrBlock === 0 ? [] : [[inode.xattrBlock, 1]]
}

function allBlocks(reader: ExtReader, inode: Inode): Blocks[] {
  const mapped =
    inode.type === 'file' || inode.type === 'directory' || (inode.type === 'symlink' && inode.sectors > 0)
  if (!mapped || inode.flags & inodeFlags.inlineData) return []
  // A short target stands where the map would be.
  if (inode.type === 'symlink' && inode.size < 60) return []
  const blocks: Blocks[] = []
  for (const run of reader.runs(inode, (index) => blocks.push([index, 1])))
    blocks.push([run.physical, run.count])
  return blocks
}
