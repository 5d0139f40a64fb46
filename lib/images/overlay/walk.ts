/** Everything that lies below a folder, without following a link. */
import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import { utf8 } from '../../formats/tar/text.ts'

export type FoundType =
  | 'file'
  | 'symlink'
  | 'directory'
  | 'character device'
  | 'block device'
  | 'fifo'
  | 'socket'

export interface Found {
  /** '/'-separated, below the folder that the walk began in. */
  path: string
  type: FoundType
  /** A folder with nothing in it. */
  empty: boolean
}

const maxFound = 1_000_000

/** Begins with `name` itself, in `folder`. The order is the filesystem's. */
export async function walk(folder: string, name: string): Promise<Found[]> {
  const found: Found[] = []
  const visit = async (path: string, type: FoundType): Promise<void> => {
    const entry: Found = { path, type, empty: false }
    if (found.push(entry) > maxFound) {
      throw new FleetsieError('E_INPUT', `more than ${maxFound} files`, { file: join(folder, name) })
    }
    if (type !== 'directory') return
    const children = await readdir(join(folder, path), { withFileTypes: true, encoding: 'buffer' })
    entry.empty = children.length === 0
    for (const child of children) await visit(`${path}/${utf8(child.name, 'the name', path)}`, typeOf(child))
  }
  await visit(name, typeOf(await lstat(join(folder, name))))
  return found
}

interface Typed {
  isFile(): boolean
  isSymbolicLink(): boolean
  isDirectory(): boolean
  isFIFO(): boolean
  isSocket(): boolean
  isBlockDevice(): boolean
}

export function typeOf(stat: Typed): FoundType {
  if (stat.isFile()) return 'file'
  if (stat.isDirectory()) return 'directory'
  if (stat.isSymbolicLink()) return 'symlink'
  if (stat.isFIFO()) return 'fifo'
  if (stat.isSocket()) return 'socket'
  return stat.isBlockDevice() ? 'block device' : 'character device'
}
