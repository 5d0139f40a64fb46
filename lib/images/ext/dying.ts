/** The inodes that a diff frees, and their blocks of extended attributes: `rm` and `rmdir` leave those allocated. */
import type { Diff, Removal } from '../tree/diff.ts'
import { byNumber, here } from './addresses.ts'
import type { Command } from './debugfs.ts'
import type { ExtReader } from './reader.ts'
import { incompat } from './superblock.ts'

const directBlocks = 12

/** Sorted by number. */
export function dyingInodes(reader: ExtReader, diff: Diff): number[] {
  const dying: number[] = []
  const folders = (removals: readonly Removal[]): void => {
    for (const removal of removals) {
      if (!removal.folder) continue
      dying.push(removal.id)
      folders(removal.below)
    }
  }
  for (const { removals } of diff.folders) folders(removals)
  for (const [id, names] of diff.unlinked) if (reader.inode(id).links <= names) dying.push(id)
  return dying.sort((a, b) => a - b)
}

/** Gives each dying inode a block of attributes of its own; `ea_rm` also lets values in inodes of their own go. */
export function unshareCommands(reader: ExtReader, dying: readonly number[]): Command[] {
  const valueInodes = (reader.superblock.incompat & incompat.eaInode) !== 0
  return dying.flatMap((id): Command[] => {
    const inode = reader.inode(id)
    const shared = inode.xattrBlock !== 0 && reader.readBlock(inode.xattrBlock).readUInt32LE(4) > 1
    if (!shared && !valueInodes) return []
    return [...reader.xattrs(inode).keys()].map((name) => ['ea_rm', byNumber(id), name])
  })
}

/**
 * Frees blocks as the direct blocks of a helper file that is removed at once, for `freeb` does not count what it frees.
 * `empty` is a host file without content, `name` a name that the top folder does not have.
 */
export function freeBlocks(blocks: readonly number[], empty: string, name: string): Command[] {
  const commands: Command[] = []
  for (let at = 0; at < blocks.length; at += directBlocks) {
    const helper = `/${name}`
    commands.push(['cd', byNumber(2)], ['write', empty, here(name)], ['sif', helper, 'flags', '0'])
    for (let i = 0; i < directBlocks; i++)
      commands.push(['sif', helper, `block[${i}]`, `${blocks[at + i] ?? 0}`])
    for (const level of ['IND', 'DIND', 'TIND']) commands.push(['sif', helper, `block[${level}]`, '0'])
    commands.push(['rm', here(name)])
  }
  return commands
}
