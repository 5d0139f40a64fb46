/** Where the running system has the partitions of the image. */
import { fstabMounts } from '../customize/fstab.ts'
import { identify } from '../os/identity.ts'
import { readText } from '../os/volume-file.ts'
import type { PartitionTable } from '../partition-table.ts'
import { openVolume } from '../read-tree.ts'
import { withWindow } from '../window.ts'
import type { Mount, Probe } from './probe.ts'

/** What the image says: its root partition, and what its fstab mounts. */
export interface ImagePlaces {
  root: number
  /** Absolute folders by partition. */
  fstab: Map<number, string>
}

/** The root partition is the first with an os-release, else the second. */
export async function imagePlaces(disk: string, table: PartitionTable): Promise<ImagePlaces> {
  for (const partition of table.partitions) {
    if (!partition.filesystem?.startsWith('ext')) continue
    const text = await withWindow(disk, partition, 'r', (window) => {
      const volume = openVolume(window, partition)
      return identify(volume) && (readText(volume, 'etc/fstab') ?? '')
    })
    if (text === undefined) continue
    const mounts = fstabMounts(text, table).filter(({ at }) => at !== '')
    return {
      root: partition.number,
      fstab: new Map(mounts.map(({ partition: { number }, at }) => [number, `/${at}`])),
    }
  }
  return { root: 2, fstab: new Map() }
}

/** What the driver's command line can hold in any shell. */
const plain = /^\/[\w/.+:@=,-]*$/

/**
 * The folder in which partition `number` is found, '' for the root; nothing when it is not mounted. A root that is
 * itself a partition tells which disk is meant; behind an overlay or in a container, the image's fstab tells where to look.
 */
export function mountOf(number: number, probe: Probe, image: ImagePlaces): string | undefined {
  if (number === image.root) return ''
  const { mounts, partitions } = probe
  const here = mounts.filter(({ at }) => plain.test(at) && at !== '/')
  if (partitions.size > 0) {
    const device = partitions.get(number)
    return here.find((mount) => mount.device === device && mount.root === '/')?.at
  }
  const at = image.fstab.get(number)
  return here.find((mount) => mount.at === at)?.at
}

/** The mounts that hide what lies below `mount`: what is written there would go to another filesystem. */
export function mountsBelow(mount: string, mounts: readonly Mount[]): string[] {
  const found = mounts.map(({ at }) => at).filter((at) => at.startsWith(`${mount}/`) && at !== '/')
  return [...new Set(found)].sort()
}
