/** How many clusters the changes take, before the first of them is made. */
import { FleetsieError } from '../../errors.ts'
import type { Creation, Diff, Removal } from '../tree/diff.ts'
import { shown } from '../volume.ts'
import type { Window } from '../window.ts'
import type { FatReader } from './reader.ts'

const slotBytes = 32

export function assertFatRoom(window: Window, reader: FatReader, diff: Diff, what: string): void {
  const { clusterSize, bits, rootSize } = reader.geometry
  let clusters = 0
  const folder = (creations: readonly Creation[], taken: number, has: number): void => {
    const slots = creations.reduce((sum, { name }) => sum + slotsOf(name), taken)
    clusters += Math.max(0, Math.ceil((slots * slotBytes) / clusterSize) - has)
    for (const { node, below } of creations) {
      clusters += Math.ceil((node.content?.size ?? 0) / clusterSize)
      if (node.type === 'directory') folder(below, 2, 0)
    }
  }
  let freed = 0
  for (const { id, removals, creations } of diff.folders) {
    for (const removal of removals) freed += freedBy(reader, removal)
    const places = [...reader.folderPlaces(id)]
    const bytes = places.reduce((sum, [, length]) => sum + length, 0)
    const taken = usedSlots(window, places)
    if (id === 0 && bits !== 32) {
      const slots = creations.reduce((sum, { name }) => sum + slotsOf(name), taken)
      if (slots * slotBytes > rootSize) {
        throw new FleetsieError(
          'E_TOO_SMALL',
          `${what}: its top folder has room for ${rootSize / slotBytes} entries, ${slots} are needed`,
          {
            hint: 'use a folder, or shorter names',
          },
        )
      }
      folder(creations, 0, Number.POSITIVE_INFINITY)
    } else {
      folder(creations, taken, bytes / clusterSize)
    }
  }
  const free = reader.table.freeClusters()
  const missing = (clusters - freed - free) * clusterSize
  if (missing <= 0) return
  throw new FleetsieError(
    'E_TOO_SMALL',
    `${what} has ${free * clusterSize} bytes free; the layers need ${missing} bytes (${(missing / 2 ** 20).toFixed(1)} MiB) more`,
    { hint: 'a FAT partition cannot be grown: start from an image with a larger one, or put less on it' },
  )
}

/** The entry itself and one slot for each 13 characters of a long name; every name may need one. */
function slotsOf(name: string): number {
  return 1 + Math.ceil(shown(name).length / 13)
}

/** Slots up to the last that is in use: from above, for mtools fills gaps. */
function usedSlots(window: Window, places: readonly [number, number][]): number {
  let count = 0
  for (const [position, length] of places) {
    const bytes = window.read(position, length)
    for (let at = 0; at < length; at += slotBytes) {
      if (bytes[at] === 0) return count
      if (bytes[at] !== 0xe5) count++
    }
  }
  return count
}

function freedBy(reader: FatReader, removal: Removal): number {
  const { cluster } = reader.fatNode(removal.id).entry
  let clusters = 0
  if (cluster !== 0) for (const [, count] of reader.table.chain(cluster)) clusters += count
  for (const below of removal.below) clusters += freedBy(reader, below)
  return clusters
}
