/** Where a path of an image really is: links followed as the image's own processes would, never out of it. */
import { FleetsieError } from '../../errors.ts'
import { shown, toBytes, type Volume } from '../volume.ts'

const maxLinks = 40

export interface Place {
  /** Relative to the top folder, without links on the way; '' is the top folder. */
  path: string
  /** Missing when nothing is there yet. */
  id?: number
}

/**
 * Follows `path`; what is missing at its end stays as it is written. `last`: whether a link at the very end is
 * followed too. Fails with E_INPUT where a part of the path is a file, or links lead in a circle.
 */
export function locate(volume: Volume, path: string, last: 'follow' | 'keep' = 'follow'): Place {
  const waiting = split(toBytes(path)).reverse()
  const trail: { name: string; id: number | undefined }[] = []
  const here = (): number | undefined => (trail.length === 0 ? volume.rootId : trail[trail.length - 1]!.id)
  let links = 0
  while (waiting.length > 0) {
    const name = waiting.pop()!
    if (name === '..') {
      trail.pop()
      continue
    }
    const folder = here()
    if (folder !== undefined && volume.node(folder).type !== 'directory') {
      throw refused(path, 'a part of this path is a file in the image, not a folder')
    }
    const id = folder === undefined ? undefined : volume.list(folder).get(name)
    const follow = waiting.length > 0 || last === 'follow'
    if (id === undefined || !follow || volume.node(id).type !== 'symlink') {
      trail.push({ name, id })
      continue
    }
    if (++links > maxLinks) throw refused(path, 'too many links, one leads back to itself')
    const target = volume.target(id)
    if (target.startsWith('/')) trail.length = 0
    waiting.push(...split(target).reverse())
  }
  const found = here()
  const real = shown(trail.map(({ name }) => name).join('/'))
  return found === undefined ? { path: real } : { path: real, id: found }
}

/** The folder that holds `path`, and the name in it: '' and `path` at the top. */
export function splitPath(path: string): { folder: string; name: string } {
  const slash = path.lastIndexOf('/')
  return { folder: path.slice(0, Math.max(slash, 0)), name: path.slice(slash + 1) }
}

/** `a/b/c` → a, a/b. */
export function parentsOf(path: string): string[] {
  const parts = path.split('/')
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join('/'))
}

function split(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.')
}

function refused(path: string, why: string): FleetsieError {
  return new FleetsieError('E_INPUT', `/${path.replace(/^\/+/, '')}: ${why}`)
}
