/** Lays one layer after the other over an image's tree, with the meaning that OCI gives to whiteouts. */
import { createReadStream } from 'node:fs'
import { FleetsieError, inFile, unreachable } from '../../errors.ts'
import type { LayerEntry, LayerFile } from '../../formats/layer/entry.ts'
import { readLayer } from '../../formats/layer.ts'
import { shown, toBytes } from '../volume.ts'
import { attributesOf, type MergedNode, type MergedTree } from './merged.ts'
import type { Staged, Staging } from './staging.ts'

/** What a filesystem cannot hold; throws E_INPUT. */
export type CheckEntry = (entry: LayerEntry) => void

/** Says what a file's content is, and where it is kept. */
export type StageContent = (file: LayerFile) => Staged | Promise<Staged>

export function assertRunning(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new FleetsieError('E_INTERRUPTED', 'applying layers was interrupted')
}

/** Reads the layers once, in order; contents go to `staging`. */
export async function mergeLayers(
  tree: MergedTree,
  layers: readonly string[],
  staging: Staging,
  check: CheckEntry,
  signal?: AbortSignal,
): Promise<void> {
  for (const layer of layers) {
    await inFile(layer, async () => {
      for await (const member of readLayer(createReadStream(layer, { highWaterMark: 1024 * 1024 }))) {
        assertRunning(signal)
        check(member.entry)
        await applyEntry(tree, member.entry, (file) => staging.add(file, member.content))
      }
    })
  }
}

/** Lays one entry over the tree; `stage` takes a file's content. Fails with E_INPUT where the tree leaves no place for it. */
export async function applyEntry(tree: MergedTree, entry: LayerEntry, stage: StageContent): Promise<void> {
  const path = toBytes(entry.path)
  const cut = path.lastIndexOf('/')
  const name = path.slice(cut + 1)
  const parent = path.slice(0, Math.max(cut, 0))

  if (entry.type === 'opaque') {
    const folder = tree.resolve(path, 'nothing')
    if (folder?.type !== 'directory') return
    for (const child of [...tree.children(folder).values()]) removeName(tree, folder, child.name)
    return
  }
  if (entry.type === 'whiteout') {
    const folder = tree.resolve(parent, 'nothing')
    if (folder?.type === 'directory') removeName(tree, folder, name)
    return
  }
  if (entry.type === 'directory') {
    applyFolder(tree, entry, parent, name)
    return
  }

  const folder = folderOf(tree, parent, path)
  tree.put(folder, name, await newNode(tree, entry, stage))
}

type NewEntry = Exclude<LayerEntry, { type: 'opaque' | 'whiteout' | 'directory' }>

async function newNode(tree: MergedTree, entry: NewEntry, stage: StageContent): Promise<MergedNode> {
  const attributes = attributesOf(entry)
  switch (entry.type) {
    case 'file':
      return { type: 'file', attributes, content: await stage(entry) }
    case 'symlink':
      return { type: 'symlink', attributes, target: toBytes(entry.target) }
    case 'character':
    case 'block':
      return { type: entry.type, attributes, device: { major: entry.major, minor: entry.minor } }
    case 'fifo':
      return { type: 'fifo', attributes }
    case 'hardlink':
      return linked(tree, entry)
    default:
      return unreachable(entry)
  }
}

function applyFolder(
  tree: MergedTree,
  entry: LayerEntry & { type: 'directory' },
  parent: string,
  name: string,
): void {
  const attributes = attributesOf(entry)
  if (name === '') {
    tree.root.attributes = attributes
    return
  }
  const path = toBytes(entry.path)
  const folder = folderOf(tree, parent, path)
  const found = tree.child(folder, name)
  if (found?.type === 'symlink') {
    const behind = tree.resolve(path, 'nothing')
    if (behind?.type !== 'directory') {
      throw new FleetsieError(
        'E_INPUT',
        `${entry.path} is a folder in the layer, in the image a link to ${shown(tree.targetOf(found))}, which is none`,
        {
          hint: `a whiteout (.wh.${shown(name)}) replaces the link`,
        },
      )
    }
    behind.attributes = attributes
  } else if (found?.type === 'directory') {
    found.attributes = attributes
  } else {
    tree.put(folder, name, { type: 'directory', attributes, children: new Map() })
  }
}

function folderOf(tree: MergedTree, parent: string, path: string): MergedNode {
  const folder = tree.resolve(parent, 'create', path)
  if (folder?.type !== 'directory') {
    throw new FleetsieError(
      'E_INPUT',
      `${shown(path)}: ${shown(parent)} is a file in the image, not a folder`,
      {
        hint: 'a whiteout (.wh.NAME) removes the file first',
      },
    )
  }
  return folder
}

function linked(tree: MergedTree, entry: LayerEntry & { type: 'hardlink' }): MergedNode {
  const target = toBytes(entry.target)
  const cut = target.lastIndexOf('/')
  const folder = tree.resolve(target.slice(0, Math.max(cut, 0)), 'nothing')
  const found = folder?.type === 'directory' ? tree.child(folder, target.slice(cut + 1)) : undefined
  if (found === undefined || found.type === 'directory') {
    throw new FleetsieError(
      'E_INPUT',
      `${entry.path} is a hard link to ${entry.target}, which ${found ? 'is a folder' : 'does not exist'}`,
    )
  }
  return found
}

function removeName(tree: MergedTree, folder: MergedNode, name: string): void {
  // e2fsck needs it to be there, and it is no file of the layers.
  if (folder === tree.root && name === 'lost+found' && !tree.volume.foldsCase) return
  tree.remove(folder, name)
}
