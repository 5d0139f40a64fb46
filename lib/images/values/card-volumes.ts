/** The partitions that a card has now, whoever wrote it. */
import { withDisk } from '../disk-file.ts'
import { identifyFilesystem } from '../filesystems.ts'
import { readPartitionTable } from '../partitions.ts'
import { windowOf } from '../reads.ts'
import type { CardVolume } from './types.ts'

/**
 * Those of a whole card; of a device that is one filesystem, that one under `number`. Whatever is damaged is left out: a card
 * may hold anything.
 */
export async function volumesOnCard(path: string, number = 1): Promise<CardVolume[]> {
  try {
    const { partitions } = await readPartitionTable(path)
    return partitions.map((partition) => ({ path, partition }))
  } catch {
    // No table: a partition's own device, or nothing.
  }
  try {
    return await withDisk(path, 'r', async ({ read, size }) => {
      const { filesystem } = await identifyFilesystem(windowOf(read, 0, size))
      return filesystem === null ? [] : [{ path, partition: { number, offset: 0, size, filesystem } }]
    })
  } catch {
    return []
  }
}
