/** What the artifact's disk holds: its partitions, how full they are, and what each layer changed. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Node } from '../../engine/nodes.ts'
import { Derivation } from '../../engine/stage.ts'
import { type Bmap, parseBmap } from '../../formats/bmap-parse.ts'
import { type LayeredChange, layerEffects } from '../../images/diff/layer-effects.ts'
import type { FileState } from '../../images/diff/tree.ts'
import { diskName } from '../../images/image.ts'
import { type PartitionTable, readTable } from '../../images/partition-table.ts'
import { printable } from '../../images/printable.ts'
import { layersByPartition } from '../../images/save/layer-sets.ts'
import { type Known, outputOf } from './collect-stages.ts'
import type { PageData, PageDisk, PageFile, PageLayer } from './data.ts'

type Found = Pick<PageData, 'disk' | 'layers' | 'files' | 'more' | 'remarks'>

/** Rows that a page holds: 8 MB, which a browser opens in a second. */
const mostFiles = 50_000
const grain = 4096

/** Looks at what the last build left in the store. What is not there any more is told in `remarks`. */
export async function diskOf(known: Known, signal: AbortSignal): Promise<Found> {
  const found: Found = { layers: [], files: [], more: 0, remarks: [] }
  const save = [...known.nodes.values()].find(({ derivation }) => derivation.stage.name === 'save')
  if (!save) return { ...found, remarks: ['This target makes no disk image.'] }
  const { table: tableStage, image, layers = [] } = save.derivation.options as Record<string, unknown>
  const table = await tableOf(known, nodeOf(known, tableStage))
  if (!table) return { ...found, remarks: [missing(known, nodeOf(known, tableStage), 'The partition table')] }
  const made = outputOf(known, save)
  if (!made) found.remarks.push(missing(known, save, 'How full the partitions are'))
  found.disk = await withUse(table, made?.path)
  const stock = nodeOf(known, image)
  const stockDisk = stock && outputOf(known, stock)
  if (!stockDisk) {
    found.remarks.push(missing(known, stock, 'What layers change'))
    return found
  }
  await addLayers(known, found, { table, stock: stockDisk.path, layers: layers as unknown[], signal })
  return found
}

function nodeOf({ nodes }: Known, value: unknown): Node | undefined {
  return value instanceof Derivation ? nodes.get(value) : undefined
}

function missing({ store, targetId }: Known, node: Node | undefined, what: string): string {
  if (!node || !store.previousRun(targetId, node.name)) return `${what}: not known before the first build.`
  return `${what}: the output of ${node.name} is not in the store any more.`
}

async function tableOf(known: Known, node: Node | undefined): Promise<PartitionTable | undefined> {
  const object = node && outputOf(known, node)
  return object && readTable(object.path)
}

/** The table of the image that was made: one that `grow` enlarged has a longer last partition. */
async function withUse(table: PartitionTable, made: string | undefined): Promise<PageDisk> {
  const names = made === undefined ? [] : await readdir(made)
  const bmapName = names.find((name) => name.endsWith('.img.bmap'))
  const imageName = names.find((name) => name.endsWith('.img.xz'))
  const bmap = made && bmapName ? parseBmap(await readFile(join(made, bmapName))) : undefined
  const size = bmap?.imageSize ?? table.size
  const last = Math.max(...table.partitions.map(({ offset }) => offset))
  const partitions = table.partitions.map(({ number, offset, size: before, filesystem, label }) => {
    const grown =
      offset === last ? Math.floor((before + Math.max(0, size - table.size)) / grain) * grain : before
    const place = { number, offset, size: Math.max(before, grown), filesystem, label }
    return bmap ? { ...place, used: mappedIn(bmap, place.offset, place.size) } : place
  })
  const disk: PageDisk = { size, table: table.table.toUpperCase(), partitions }
  if (made && imageName) disk.compressed = (await stat(join(made, imageName))).size
  return disk
}

function mappedIn({ ranges, blockSize }: Bmap, offset: number, size: number): number {
  let sum = 0
  for (const { first, last } of ranges) {
    const start = Math.max(first * blockSize, offset)
    const end = Math.min((last + 1) * blockSize, offset + size)
    if (end > start) sum += end - start
  }
  return sum
}

async function addLayers(
  known: Known,
  found: Found,
  what: { table: PartitionTable; stock: string; layers: readonly unknown[]; signal: AbortSignal },
): Promise<void> {
  const sets: { stage: string; path: string }[] = []
  for (const layer of what.layers) {
    const node = nodeOf(known, layer)
    const object = node && outputOf(known, node)
    if (!object) {
      found.remarks.push(missing(known, node, `What ${node?.name ?? 'a layer'} and others change`))
      return
    }
    sets.push({ stage: node.name, path: object.path })
  }
  const stageOf = (file: string): string => sets.find(({ path }) => file.startsWith(`${path}/`))!.stage
  const all: PageFile[] = []
  const byPartition = await layersByPartition(
    sets.map(({ path }) => path),
    what.table,
  )
  for (const { partition, layers } of byPartition) {
    const { effects, changes } = await layerEffects(
      join(what.stock, diskName),
      partition,
      layers,
      what.signal,
    )
    const first = found.layers.length
    effects.forEach((effect, index) => {
      const layer: PageLayer = { stage: stageOf(layers[index]!), partition: partition.number, effect }
      found.layers.push(layer)
    })
    const bare = partition.filesystem === 'vfat'
    for (const change of changes) all.push(rowOf(change, partition.number, first + change.layer, bare))
  }
  found.files = all.slice(0, mostFiles)
  found.more = all.length - found.files.length
}

function rowOf(change: LayeredChange, partition: number, layer: number, bare: boolean): PageFile {
  const { before, after, kind, differs } = change
  const state = (after ?? before) as FileState
  const notes = differs.map((aspect) => (aspect === 'type' ? `was a ${before!.type}` : aspect))
  if (state.target !== undefined) notes.push(`→ ${printable(state.target)}`)
  return [
    `part_${partition}/${printable(change.path)}`,
    kind,
    layer,
    state.type,
    after?.size ?? 0,
    before?.size ?? 0,
    bare ? '' : state.mode.toString(8).padStart(4, '0'),
    bare ? '' : `${state.uid}:${state.gid}`,
    notes.join(', '),
  ]
}
