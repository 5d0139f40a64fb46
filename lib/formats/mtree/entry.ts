/** What one line of an mtree file says. */
import type { LayerTime } from '../layer/entry.ts'

export type MtreeType = 'file' | 'directory' | 'symlink' | 'character' | 'block' | 'fifo'

/** Only what the file says is there. */
export interface MtreeEntry {
  /** '' is the folder that all paths start from. */
  path: string
  /** Where it was read, counted from 1. */
  line: number
  type?: MtreeType
  /** 07777 bits. */
  mode?: number
  uid?: number
  gid?: number
  mtime?: LayerTime
  /** Target of a symbolic link. */
  link?: string
  device?: { major: number; minor: number }
  xattrs: Map<string, Buffer>
  /** The path need not exist. */
  optional: boolean
}

/** Names in an mtree file, and what they are called here. */
export const mtreeTypes: Record<string, MtreeType> = {
  file: 'file',
  dir: 'directory',
  link: 'symlink',
  char: 'character',
  block: 'block',
  fifo: 'fifo',
}
