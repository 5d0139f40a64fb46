/** Looks a path up in a filesystem, as a process with that root would: symlinks are followed and never leave it. */
import { FleetsieError } from '../../errors.ts'
import { shown, toBytes, type Volume } from '../volume.ts'

const maxLinks = 40
const maxSize = 1024 * 1024

/** The node of `path` ('/'-separated, from the root), or undefined if there is none. */
export function lookUp(volume: Volume, path: string): number | undefined {
  const parts = split(toBytes(path))
  let folders: number[] = [volume.rootId]
  let links = 0
  while (parts.length > 0) {
    const name = parts.shift() ?? ''
    if (name === '..') {
      if (folders.length > 1) folders.pop()
      continue
    }
    const here = folders.at(-1) ?? volume.rootId
    if (volume.node(here).type !== 'directory') return undefined
    const id = volume.list(here).get(name)
    if (id === undefined) return undefined
    if (volume.node(id).type !== 'symlink') {
      folders.push(id)
      continue
    }
    if (++links > maxLinks) return undefined
    const target = volume.target(id)
    if (target.startsWith('/')) folders = [volume.rootId]
    parts.unshift(...split(target))
  }
  return folders.at(-1)
}

/** The text of the file at `path`, or undefined if there is no such file. E_INPUT: it has more than 1 MiB. */
export function readText(volume: Volume, path: string): string | undefined {
  const id = lookUp(volume, path)
  if (id === undefined) return undefined
  const { type, size } = volume.node(id)
  if (type !== 'file') return undefined
  if (size > maxSize) {
    throw new FleetsieError('E_INPUT', `/${path} in the image has ${size} bytes; ${maxSize} is the limit`)
  }
  const bytes = Buffer.alloc(size)
  for (const piece of volume.pieces(id)) piece.bytes.copy(bytes, piece.at)
  return shown(bytes.toString('latin1'))
}

export function isFolder(volume: Volume, path: string): boolean {
  const id = lookUp(volume, path)
  return id !== undefined && volume.node(id).type === 'directory'
}

function split(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.')
}
