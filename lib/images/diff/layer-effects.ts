/** What each layer changes on a partition, and what all of them together change against the stock. */

import type { EditablePartition } from '../partition-edit.ts'
import { openVolume } from '../read-tree.ts'
import { type IndexedEntry, indexLayer } from '../sync/index-layers.ts'
import { Fingerprinter } from '../tree/fingerprint.ts'
import { applyEntry } from '../tree/merge.ts'
import { type MergedNode, MergedTree } from '../tree/merged.ts'
import type { Volume } from '../volume.ts'
import { withWindow } from '../window.ts'
import { compareTrees, type FileChange, type Judge } from './compare.ts'
import { LayeredTree } from './tree.ts'

/** The block size of a layer's fingerprints. */
const blockSize = 4096

export interface LayerEffect {
  added: number
  changed: number
  removed: number
  /** Bytes of the files that it brings, and of those that it takes away or replaces. */
  bytesIn: number
  bytesOut: number
}

export interface LayeredChange extends FileChange {
  /** The last layer that had a say in it, by its place in the list. */
  layer: number
}

/**
 * Lays the layers at `layers`, the lowest first, over a partition of the stock image `disk`; only metadata of the image
 * is read, and contents that a layer brings again. Fails as applying them would.
 */
export async function layerEffects(
  disk: string,
  partition: EditablePartition,
  layers: readonly string[],
  signal: AbortSignal,
): Promise<{ effects: LayerEffect[]; changes: LayeredChange[] }> {
  const indexes: IndexedEntry[][] = []
  for (const layer of layers) indexes.push(await indexLayer(layer, signal))
  return withWindow(disk, partition, 'r', async (window) => {
    const volume = openVolume(window, partition)
    const judge = judgeOf(volume)
    const stock = await layered(volume, [])
    const lastToTouch = new Map<string, number>()
    const effects: LayerEffect[] = []
    let before = stock
    for (const index of indexes.keys()) {
      const after = await layered(volume, indexes.slice(0, index + 1))
      const effect: LayerEffect = { added: 0, changed: 0, removed: 0, bytesIn: 0, bytesOut: 0 }
      for (const change of compareTrees(before, after, judge)) {
        lastToTouch.set(change.path, index)
        effect[change.kind]++
        if (change.kind === 'changed' && !change.differs.includes('content')) continue
        effect.bytesIn += change.after?.size ?? 0
        effect.bytesOut += change.before?.size ?? 0
      }
      effects.push(effect)
      before = after
    }
    const changes = [...compareTrees(stock, before, judge)].map(({ nodes: _, ...change }) => ({
      ...change,
      layer: lastToTouch.get(change.path) ?? layers.length - 1,
    }))
    return { effects, changes }
  })
}

async function layered(volume: Volume, layers: readonly IndexedEntry[][]): Promise<LayeredTree> {
  const tree = new MergedTree(volume)
  for (const { entry, content } of layers.flat()) await applyEntry(tree, entry, () => content!)
  return new LayeredTree(tree)
}

function judgeOf(volume: Volume): Judge<MergedNode, MergedNode> {
  const print = (node: MergedNode): string => {
    if (node.content) return node.content.digest
    const prints = new Fingerprinter(blockSize)
    for (const { at, bytes } of volume.pieces(node.origin!)) prints.add(at, bytes)
    return prints.finish(volume.node(node.origin!).size).digest
  }
  const unread = (node: MergedNode): boolean => node.children === undefined && node.attributes === undefined
  return {
    times: false,
    untouched: (a, b) => a.origin !== undefined && a.origin === b.origin && unread(a) && unread(b),
    sameContent: (a, b) =>
      (a.origin !== undefined && a.origin === b.origin) ||
      (a.content !== undefined && a.content === b.content) ||
      print(a) === print(b),
  }
}
