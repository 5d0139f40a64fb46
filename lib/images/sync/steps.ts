/** What a push has to do on a partition: from what was pushed before to what the layers want now. */
import type { MergedNode } from '../tree/merged.ts'
import type { Volume } from '../volume.ts'
import type { Item } from './item.ts'
import { stockAt, stockItems } from './stock.ts'
import { keyOf, type Wanted, type WantedTree } from './wanted.ts'

export interface Removal {
  path: string
  /** A folder that layers had made: the running system may have put files of its own there, which stay. */
  ifEmpty: boolean
}

export interface Steps {
  /** What lies deeper comes first. */
  removals: Removal[]
  /** A folder comes before what is in it. */
  items: Item[]
}

/** `pushed` is what the partition has from earlier pushes: nothing on the first. */
export function stepsBetween(volume: Volume, pushed: WantedTree, wanted: WantedTree): Steps {
  const removals: Removal[] = []
  /** By path: what one folder gives back may be asked for again by what was in it. */
  const items = new Map<string, Item>()
  /** Folders that are emptied or refilled: all that is wanted below goes again. */
  const renewed = new Set<string>()

  for (const [key, old] of pushed) {
    const now = wanted.get(key)
    // The image's own folder is back where layers had taken it away, or had made another.
    const back = now?.node && !now.fresh && (old.fresh || !old.node)
    if (now && !back) continue
    const above = nearest(wanted, key)
    // It goes with what is above it.
    if (above && above.node?.type !== 'directory') continue
    const stock = above?.fresh ? undefined : stockAt(volume, old.path)
    if (stock === undefined) {
      if (old.node) removals.push({ path: old.path, ifEmpty: old.node.type === 'directory' })
    } else if (old.node?.type === 'directory' && !old.fresh) {
      items.set(old.path, stockItems(volume, old.path, stock, () => true)[0]!)
    } else {
      renewed.add(key)
      const byLayers = (path: string): boolean => {
        const one = wanted.get(keyOf(volume, path))
        return one !== undefined && (one.fresh || !one.node)
      }
      for (const item of stockItems(volume, old.path, stock, byLayers)) {
        if (!wanted.has(keyOf(volume, item.path)) && !items.has(item.path)) items.set(item.path, item)
      }
    }
  }
  for (const [key, { path, node, fresh }] of wanted) {
    const old = pushed.get(key)
    const replaces = node === undefined || (fresh && node.type === 'directory')
    if (!replaces || (node ? old?.fresh && old.node?.type === 'directory' : old && !old.node)) continue
    if (node && stockAt(volume, path) === undefined && old === undefined) continue
    removals.push({ path, ifEmpty: false })
    if (node) renewed.add(key)
  }
  for (const [key, one] of wanted) {
    if (!one.node || (pushed.get(key)?.print === one.print && !within(renewed, key))) continue
    items.set(one.path, itemOf(one))
  }
  removals.sort((a, b) => (a.path > b.path ? -1 : 1))
  return { removals, items: [...items.values()].sort((a, b) => (a.path < b.path ? -1 : 1)) }
}

function itemOf({ path, node, linkTo, content }: Wanted): Item {
  const { type, attributes, target, device } = node as MergedNode
  return {
    path,
    type,
    attributes: attributes!,
    ...(linkTo === undefined ? {} : { linkTo }),
    ...(target === undefined ? {} : { target }),
    ...(device === undefined ? {} : { device }),
    ...(content === undefined ? {} : { content }),
  }
}

function* foldersAbove(key: string): Generator<string> {
  for (let cut = key.lastIndexOf('/'); cut > 0; cut = key.lastIndexOf('/', cut - 1)) yield key.slice(0, cut)
}

/** The closest folder above that the layers make, or take away. */
function nearest(wanted: WantedTree, key: string): Wanted | undefined {
  for (const above of foldersAbove(key)) {
    const found = wanted.get(above)
    if (found && (found.fresh || !found.node)) return found
  }
  return undefined
}

function within(folders: Set<string>, key: string): boolean {
  if (folders.size === 0) return false
  for (const above of foldersAbove(key)) if (folders.has(above)) return true
  return folders.has(key)
}
