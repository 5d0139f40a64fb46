/** What the layers make of a partition: each path that they touch, and what has to be there. */
import type { LayerEntry } from '../../formats/layer/entry.ts'
import { applyEntry } from '../tree/merge.ts'
import { type MergedNode, MergedTree } from '../tree/merged.ts'
import type { Staged } from '../tree/staging.ts'
import { foldName, toBytes, type Volume } from '../volume.ts'
import type { IndexedEntry } from './index-layers.ts'

/** Where a file's bytes are. */
export interface ContentPlace {
  layer: string
  /** Its number in the layer, from 0. */
  member: number
  size: number
}

export interface Wanted {
  /** From the partition's top without a leading '/', no link in it; bytes as latin1. */
  path: string
  /** Nothing: the path goes away, with all below it. */
  node?: MergedNode
  /** The path of which this is another name. */
  linkTo?: string
  /** Made by the layers, where the stock image may have had something else; not a folder of the image's with new attributes. */
  fresh: boolean
  content?: ContentPlace
  /** Equal for equal things. */
  print: string
}

/** By path; on FAT by the path in one case. */
export type WantedTree = Map<string, Wanted>

/** The key of a path in such a map. */
export function keyOf(volume: { foldsCase: boolean }, path: string): string {
  return foldName(volume, path)
}

/** Lays `layers` over `volume`, the lowest first. Fails with E_INPUT where they do not fit together. */
export async function wantedTree(
  volume: Volume,
  layers: readonly { path: string; entries: readonly IndexedEntry[] }[],
): Promise<WantedTree> {
  const tree = new MergedTree(volume)
  const places = new Map<Staged, ContentPlace>()
  const removed: { parent: string; name: string }[] = []
  for (const { path: layer, entries } of layers) {
    for (const [member, { entry, content }] of entries.entries()) {
      if (content) places.set(content, { layer, member, size: content.size })
      if (entry.type === 'whiteout') removed.push(split(entry))
      await applyEntry(tree, entry, () => content!)
    }
  }
  const walk = new Walk(volume, tree, places)
  const folders = removed.map(({ parent }) => tree.resolve(parent, 'nothing'))
  walk.folder(tree.root, '')
  // What a layer takes away goes, also where only the running system has it.
  for (const [index, { name }] of removed.entries()) {
    const folder = folders[index]
    const path = folder && walk.paths.get(folder)
    if (path === undefined || folder?.type !== 'directory' || tree.child(folder, name)) continue
    if (path !== '' || name !== 'lost+found') walk.absent(below(path, name))
  }
  return walk.wanted
}

function split(entry: LayerEntry): { parent: string; name: string } {
  const path = toBytes(entry.path)
  const cut = path.lastIndexOf('/')
  return { parent: path.slice(0, Math.max(cut, 0)), name: path.slice(cut + 1) }
}

const below = (folder: string, name: string): string => (folder === '' ? name : `${folder}/${name}`)

class Walk {
  readonly wanted: WantedTree = new Map()
  /** Of every folder that was looked at. */
  readonly paths = new Map<MergedNode, string>()
  private readonly first = new Map<MergedNode, Wanted>()
  private readonly volume: Volume
  private readonly tree: MergedTree
  private readonly places: Map<Staged, ContentPlace>

  constructor(volume: Volume, tree: MergedTree, places: Map<Staged, ContentPlace>) {
    this.volume = volume
    this.tree = tree
    this.places = places
  }

  folder(node: MergedNode, path: string): void {
    this.paths.set(node, path)
    if (node.origin !== undefined && node.attributes && path !== '') this.put(path, node, false)
    if (node.children === undefined) return
    if (node.origin !== undefined) {
      for (const name of this.volume.list(node.origin).keys()) {
        if (!this.tree.children(node).has(foldName(this.volume, name))) this.absent(below(path, name))
      }
    }
    for (const child of node.children.values()) {
      if (child.node === undefined) continue
      const where = below(path, child.name)
      if (child.node.origin === undefined) this.put(where, child.node, true)
      if (child.node.type === 'directory') this.folder(child.node, where)
    }
  }

  absent(path: string): void {
    this.wanted.set(keyOf(this.volume, path), { path, fresh: false, print: 'absent' })
  }

  private put(path: string, node: MergedNode, fresh: boolean): void {
    const known = this.first.get(node)
    const place = node.content && this.places.get(node.content)
    const wanted: Wanted = known
      ? { path, node, fresh, linkTo: known.path, print: `link ${known.path} ${known.print}` }
      : { path, node, fresh, print: printOf(node, this.volume.foldsCase), ...(place && { content: place }) }
    if (node.type !== 'directory') this.first.set(node, known ?? wanted)
    this.wanted.set(keyOf(this.volume, path), wanted)
  }
}

/** `bare`: a filesystem without owners and modes. */
function printOf({ type, attributes, content, target, device }: MergedNode, bare: boolean): string {
  const { mode, uid, gid, mtime, xattrs } = attributes!
  const said = bare
    ? [mtime]
    : [mtime, mode, uid, gid, [...xattrs].map(([name, value]) => [name, value.toString('base64')]).sort()]
  return JSON.stringify([type, said, content && [content.size, content.digest], target, device])
}
