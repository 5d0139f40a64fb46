/** What is on a card now: its partitions, or the filesystem that it is. */
import { open } from 'node:fs/promises'
import type { CardPartition } from '../devices/types.ts'
import { identifyFilesystem } from '../filesystems.ts'
import { readPartitions } from '../partitions.ts'
import { readerOf, windowOf } from '../reads.ts'
import type { Filesystem } from '../superblocks/filesystem.ts'

export interface Contents {
  partitions: Omit<CardPartition, 'name'>[]
  content: Filesystem
}

const nothing: Filesystem = { filesystem: null, label: null, uuid: null }

/** Looks into the device or file of `size` bytes. What cannot be read, or makes no sense, holds nothing. */
export async function contentsOf(path: string, size: number): Promise<Contents> {
  const file = await open(path, 'r').catch(() => undefined)
  if (!file) return { partitions: [], content: nothing }
  try {
    const read = readerOf(file)
    const table = await readPartitions(read, size).catch(() => undefined)
    const partitions = (table?.partitions ?? []).map(
      ({ number, offset, size, filesystem, label, uuid, fatBits }) => {
        return { number, offset, size, filesystem, label, uuid, ...(fatBits ? { fatBits } : {}) }
      },
    )
    const content =
      partitions.length > 0 ? nothing : await identifyFilesystem(windowOf(read, 0, size)).catch(() => nothing)
    return { partitions, content }
  } finally {
    await file.close()
  }
}
