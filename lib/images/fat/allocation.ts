/** The bytes of FAT that are in use: everything in front of the clusters, and every cluster that is not free. */
import type { Window } from '../window.ts'
import { readBootSector } from './boot-sector.ts'
import { FatTable } from './table.ts'

/** As [position, length] in bytes of the partition. */
export function* fatAllocation(window: Window): Generator<[number, number]> {
  const geometry = readBootSector(window)
  const { clusters, clusterSize, dataAt } = geometry
  const table = new FatTable(window, geometry)
  yield [0, dataAt]
  for (const [first, count] of table.used()) yield [dataAt + (first - 2) * clusterSize, count * clusterSize]
  // Nobody calls free what lies behind the last cluster.
  const end = dataAt + clusters * clusterSize
  if (end < window.size) yield [end, window.size - end]
}
