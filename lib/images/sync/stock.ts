/** What the stock image has at a path: for files that no layer brings any more. */
import { ExtReader } from '../ext/reader.ts'
import type { Attributes } from '../tree/merged.ts'
import { foldName, type Volume } from '../volume.ts'
import type { Item } from './item.ts'

/** The id of what is at `path`, links not followed. */
export function stockAt(volume: Volume, path: string): number | undefined {
  let id = volume.rootId
  for (const name of path.split('/')) {
    if (volume.node(id).type !== 'directory') return undefined
    const names = volume.list(id)
    const found = names.get(name) ?? (volume.foldsCase ? foldedId(volume, names, name) : undefined)
    if (found === undefined) return undefined
    id = found
  }
  return id
}

function foldedId(volume: Volume, names: Map<string, number>, name: string): number | undefined {
  const wanted = foldName(volume, name)
  for (const [other, id] of names) if (foldName(volume, other) === wanted) return id
  return undefined
}

/** `path` and all below it as the image has it, without what `skip` names. */
export function stockItems(
  volume: Volume,
  path: string,
  id: number,
  skip: (path: string) => boolean,
  first = new Map<number, string>(),
): Item[] {
  const { type, size } = volume.node(id)
  // Those the running system makes itself.
  if (type !== 'directory' && type !== 'file' && type !== 'symlink') return []
  const item: Item = { path, type, attributes: attributesOf(volume, id) }
  if (type === 'file') {
    const linkTo = first.get(id)
    if (linkTo === undefined) first.set(id, path)
    else item.linkTo = linkTo
    item.content = { stock: id, size }
  }
  if (type === 'symlink') item.target = volume.target(id)
  const items = [item]
  if (type !== 'directory') return items
  for (const [name, child] of volume.list(id)) {
    const below = `${path}/${name}`
    if (!skip(below)) items.push(...stockItems(volume, below, child, skip, first))
  }
  return items
}

function attributesOf(volume: Volume, id: number): Attributes {
  const { mode, uid, gid, mtime } = volume.node(id)
  const xattrs = volume instanceof ExtReader ? volume.xattrs(volume.inode(id)) : new Map<string, Buffer>()
  return { mode, uid, gid, mtime, xattrs }
}
