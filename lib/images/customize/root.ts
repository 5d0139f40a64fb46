/** Which partition is the root filesystem, and which others belong into its tree. */
import { FleetsieError } from '../../errors.ts'
import { ExtReader } from '../ext/reader.ts'
import { lookUp, readText } from '../os/volume-file.ts'
import type { PartitionInfo, PartitionTable } from '../partition-table.ts'
import { withWindow } from '../window.ts'
import { fstabMounts } from './fstab.ts'
import { locate } from './inside.ts'

/** A partition and its place in the merged tree. */
export interface Mounted {
  partition: PartitionInfo
  kind: 'ext' | 'fat'
  /** Without links on the way; '' for the root filesystem itself. */
  at: string
}

const isExt = (partition: PartitionInfo): boolean => /^ext[234]$/.test(partition.filesystem ?? '')

/**
 * The ext partition with an os-release, else the one with an fstab, else the largest; the lower number of two.
 * Fails with E_INPUT when there is none, or `wanted` is not one.
 */
export async function rootPartition(
  disk: string,
  table: PartitionTable,
  wanted?: number,
): Promise<PartitionInfo> {
  const candidates = table.partitions.filter(isExt).sort((a, b) => a.number - b.number)
  if (wanted !== undefined) {
    const chosen = candidates.find(({ number }) => number === wanted)
    if (chosen) return chosen
    const kind = table.partitions.find(({ number }) => number === wanted)?.filesystem
    throw new FleetsieError(
      'E_INPUT',
      `partition ${wanted} is ${kind === undefined ? 'not there' : 'no ext filesystem'}`,
      {
        hint: `\`root\` takes one of ${candidates.map(({ number }) => number).join(', ') || 'no partition of this image'}`,
      },
    )
  }
  for (const paths of [['etc/os-release', 'usr/lib/os-release'], ['etc/fstab']]) {
    for (const partition of candidates) {
      const found = await withWindow(disk, partition, 'r', (window) => {
        const volume = new ExtReader(window)
        return paths.some((path) => lookUp(volume, path) !== undefined)
      })
      if (found) return partition
    }
  }
  const largest = candidates.sort((a, b) => b.size - a.size || a.number - b.number)[0]
  if (largest) return largest
  const kinds = table.partitions.map(({ number, filesystem }) => `${number}: ${filesystem ?? 'unknown'}`)
  throw new FleetsieError('E_INPUT', `the image has no ext2, ext3 or ext4 partition (${kinds.join(', ')})`, {
    hint: '`customize` needs a root filesystem of that kind',
  })
}

/** The root filesystem first, then the partitions that its fstab mounts, the outer before the inner. */
export function mountedPartitions(
  disk: string,
  table: PartitionTable,
  root: PartitionInfo,
  log: (line: string) => void,
): Promise<Mounted[]> {
  return withWindow(disk, root, 'r', (window) => {
    const volume = new ExtReader(window)
    const all: Mounted[] = [{ partition: root, kind: 'ext', at: '' }]
    for (const { partition, at } of fstabMounts(readText(volume, 'etc/fstab') ?? '', table)) {
      if (at === '' || all.some((one) => one.partition.number === partition.number)) continue
      const kind = isExt(partition) ? 'ext' : partition.filesystem === 'vfat' ? 'fat' : undefined
      // One within another: its mount point is not on the root filesystem.
      const outer = all.find((one) => one.at !== '' && `${at}/`.startsWith(`${one.at}/`))
      const place = outer ? { path: at, id: 0 } : locate(volume, at)
      const folder = outer ? true : place.id !== undefined && volume.node(place.id).type === 'directory'
      if (kind && folder && place.path !== '') all.push({ partition, kind, at: place.path })
      else
        log(
          `partition ${partition.number} is left out: /${at} ${kind ? 'is no folder in the image' : `is ${partition.filesystem ?? 'unknown'}`}`,
        )
    }
    return all
  })
}
