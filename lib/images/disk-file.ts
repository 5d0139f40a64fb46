/** A disk image, in a file or on a block device: reads at byte offsets for lib/formats. */
import type { FileHandle } from 'node:fs/promises'
import { open } from 'node:fs/promises'
import { inFile } from '../errors.ts'
import type { ReadAt } from '../formats/random-access.ts'
import { sizeOf } from './device-size.ts'
import { readerOf } from './reads.ts'

export interface DiskFile {
  handle: FileHandle
  read: ReadAt
  /** Bytes. */
  size: number
}

/** Opens the image `path`, runs `work`, closes it. Errors name the file. */
export function withDisk<T>(
  path: string,
  flags: 'r' | 'r+',
  work: (disk: DiskFile) => Promise<T>,
): Promise<T> {
  return inFile(path, async () => {
    const handle = await open(path, flags)
    try {
      return await work({
        handle,
        size: sizeOf(await handle.stat()),
        read: readerOf(handle),
      })
    } finally {
      await handle.close()
    }
  })
}
