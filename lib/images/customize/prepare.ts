/** The disk as it is before a run: the image with the layers so far, and which partitions make the tree. */
import { join } from 'node:path'
import type { Run } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import { applyLayers } from '../apply.ts'
import { copyDisk } from '../copy-disk.ts'
import { assertEditable } from '../ext/check.ts'
import { ExtReader } from '../ext/reader.ts'
import { diskName } from '../image.ts'
import { partitionName } from '../partition-edit.ts'
import { readTable } from '../partition-table.ts'
import { imageTime } from '../save/image-time.ts'
import { layersByPartition } from '../save/layer-sets.ts'
import { withWindow } from '../window.ts'
import { type Mounted, mountedPartitions, rootPartition } from './root.ts'

export interface Prepared {
  /** Read-only where no layer changes it: the store's own. */
  disk: string
  /** Seconds since 1970. */
  epoch: number
  /** The root filesystem first. */
  mounted: readonly Mounted[]
}

export interface PrepareOptions {
  run: Run
  image: string
  table: string
  /** Layer sets. */
  layers: readonly string[]
  root: number | undefined
  epoch: number | undefined
  tmp: string
  signal: AbortSignal
  log(line: string): void
}

/** Applies the layers as `save` will. Fails as applyLayers does, and with E_INPUT where there is no root filesystem. */
export async function prepareDisk(options: PrepareOptions): Promise<Prepared> {
  const { run, tmp, log, signal } = options
  const stock = join(options.image, diskName)
  const table = await readTable(options.table)
  const epoch = options.epoch ?? (await imageTime(stock, table))
  const root = await rootPartition(stock, table, options.root)
  const changes = await layersByPartition(options.layers, table)
  let disk = stock
  const bring = async (number: number): Promise<void> => {
    const change = changes.find(({ partition }) => partition.number === number)
    if (!change) return
    if (disk === stock) {
      disk = join(tmp, diskName)
      await copyDisk(run, stock, disk)
    }
    await applyLayers({ run, disk, partition: change.partition, layers: change.layers, epoch, tmp, signal })
  }
  await bring(root.number)
  const mounted = await mountedPartitions(disk, table, root, log)
  for (const { partition } of mounted.slice(1)) await bring(partition.number)
  for (const one of mounted) {
    log(`partition ${one.partition.number} (${one.partition.filesystem}) is /${one.at}`)
    if (one.kind === 'ext') await assertSound(disk, one)
  }
  return { disk, epoch, mounted }
}

/** A journal that waits to be replayed would be passed over by a read-only mount. */
async function assertSound(disk: string, { partition }: Mounted): Promise<void> {
  await withWindow(disk, partition, 'r', (window) => {
    const { superblock } = new ExtReader(window)
    try {
      assertEditable(superblock, partitionName(partition), partition.offset)
    } catch (error) {
      throw error instanceof FleetsieError ? error.inFile(disk) : error
    }
  })
}
