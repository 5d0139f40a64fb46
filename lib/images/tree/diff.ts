/** What has to be done to the image so that it becomes the merged tree. */
import { foldName, type Volume } from '../volume.ts'
import type { MergedNode, MergedTree } from './merged.ts'

export interface Removal {
  name: string
  id: number
  folder: boolean
  /** Everything below a folder. */
  below: Removal[]
}

export interface Creation {
  name: string
  node: MergedNode
  /** Another name for a file that was created under an earlier name. */
  link: boolean
  /** Of a new folder. */
  below: Creation[]
}

/** Changes in one folder that the image has. */
export interface FolderChange {
  id: number
  /** Its names before the edit. */
  was: Map<string, number>
  removals: Removal[]
  creations: Creation[]
}

export interface Diff {
  folders: FolderChange[]
  /** Folders that stay and get a layer's attributes. */
  restyled: MergedNode[]
  /** How many names each file of the image loses. */
  unlinked: Map<number, number>
  /** Every new node once, in the order of its creation. */
  created: MergedNode[]
}

/** All lists are sorted by the names' bytes. */
export function diffTree(tree: MergedTree): Diff {
  const diff: Diff = { folders: [], restyled: [], unlinked: new Map(), created: [] }
  const seen = new Set<MergedNode>()
  visit(tree, tree.root, diff, seen)
  return diff
}

function visit(tree: MergedTree, folder: MergedNode, diff: Diff, seen: Set<MergedNode>): void {
  const id = folder.origin!
  if (folder.attributes) diff.restyled.push(folder)
  if (folder.children === undefined) return
  const removals: Removal[] = []
  const stays = new Set<string>()
  const was = tree.volume.list(id)
  for (const [name, its] of was) {
    const key = foldName(tree.volume, name)
    const child = folder.children.get(key)
    if (child?.name === name && (child.node ? child.node.origin : child.id) === its) stays.add(key)
    else removals.push(removal(tree.volume, name, its, diff))
  }
  const creations: Creation[] = []
  const deeper: MergedNode[] = []
  for (const [key, child] of sorted(folder.children)) {
    if (!stays.has(key)) creations.push(creation(tree, child.name, tree.nodeOf(child), diff, seen))
    else if (child.node?.type === 'directory') deeper.push(child.node)
  }
  if (removals.length || creations.length)
    diff.folders.push({ id, was, removals: removals.sort(byName), creations })
  for (const node of deeper) visit(tree, node, diff, seen)
}

function removal(volume: Volume, name: string, id: number, diff: Diff): Removal {
  const folder = volume.node(id).type === 'directory'
  const below = folder
    ? [...volume.list(id)].map(([inner, its]) => removal(volume, inner, its, diff)).sort(byName)
    : []
  if (!folder) diff.unlinked.set(id, (diff.unlinked.get(id) ?? 0) + 1)
  return { name, id, folder, below }
}

function creation(
  tree: MergedTree,
  name: string,
  node: MergedNode,
  diff: Diff,
  seen: Set<MergedNode>,
): Creation {
  const link = seen.has(node)
  seen.add(node)
  if (!link) diff.created.push(node)
  const below =
    node.type === 'directory'
      ? sorted(node.children!).map(([, child]) => creation(tree, child.name, tree.nodeOf(child), diff, seen))
      : []
  return { name, node, link, below }
}

function sorted<T extends { name: string }>(map: Map<string, T>): [string, T][] {
  return [...map].sort(([, a], [, b]) => byName(a, b))
}

function byName(a: { name: string }, b: { name: string }): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0
}
