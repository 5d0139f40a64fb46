/**
 * A filesystem as a tree that can be read: what the ext and FAT readers have in common.
 * Names are byte strings (latin1 text of the bytes on disk): a filesystem's names need not be UTF-8.
 */

export type NodeType = 'file' | 'directory' | 'symlink' | 'character' | 'block' | 'fifo' | 'socket'

export interface VolumeTime {
  seconds: number
  nanoseconds: number
}

export interface VolumeNode {
  /** The same for all hard links of one file. */
  id: number
  type: NodeType
  mode: number
  uid: number
  gid: number
  /** Bytes. */
  size: number
  links: number
  mtime: VolumeTime
}

export interface Volume {
  readonly rootId: number
  /** FAT: names that differ only in case are one name. */
  readonly foldsCase: boolean
  node(id: number): VolumeNode
  /** Names of a folder without '.' and '..'. */
  list(id: number): Map<string, number>
  /** A symlink's target, bytes as latin1. */
  target(id: number): string
  /** The file's content in pieces, in order; what is missing between them is zeros. */
  pieces(id: number): Generator<{ at: number; bytes: Buffer }>
}

export function toBytes(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}

/** For messages: the bytes as UTF-8 text. */
export function shown(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('utf8')
}

/** The key by which a folder finds a name. FAT folds character by character: 'ß' is not 'SS'. */
export function foldName(volume: { foldsCase: boolean }, name: string): string {
  if (!volume.foldsCase) return name
  const folded = Array.from(shown(name), (char) => {
    const upper = char.toUpperCase()
    return upper.length === char.length ? upper : char
  })
  return toBytes(folded.join(''))
}
