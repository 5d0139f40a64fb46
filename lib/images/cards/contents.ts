/** What is on a card now: its partitions, or the filesystem that it is. */
import { type FileHandle, open } from 'node:fs/promises'
import type { ReadAt } from '../../formats/random-access.ts'
import type { CardPartition } from '../devices/types.ts'
import { windowOf } from '../disk-file.ts'
import { identifyFilesystem } from '../filesystems.ts'
import { readPartitions } from '../partitions.ts'
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

function readerOf(file: FileHandle): ReadAt {
  return async (offset, length) => {
    if (!Number.isSafeInteger(offset) || offset < 0) return Buffer.alloc(0)
    const buffer = Buffer.alloc(length)
    let filled = 0
    while (filled < length) {
      const { bytesRead } = await file.read(buffer, filled, length - filled, offset + filled)
      if (bytesRead === 0) break
      filled += bytesRead
    }
    return buffer.subarray(0, filled)
  }
}
