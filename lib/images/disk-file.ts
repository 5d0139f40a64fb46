/** A disk image, in a file or on a block device: reads at byte offsets for lib/formats. */
import type { FileHandle } from 'node:fs/promises'
import { open } from 'node:fs/promises'
import { inFile } from '../errors.ts'
import type { ReadAt } from '../formats/random-access.ts'
import { sizeOf } from './device-size.ts'

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
        read: (offset, length) => readAt(handle, offset, length),
      })
    } finally {
      await handle.close()
    }
  })
}

async function readAt(handle: FileHandle, offset: number, length: number): Promise<Buffer> {
  // Damaged tables ask for places that no file has, and read() refuses such numbers with a RangeError.
  if (!Number.isSafeInteger(offset) || offset < 0) return Buffer.alloc(0)
  const buffer = Buffer.alloc(length)
  let filled = 0
  while (filled < length) {
    const { bytesRead } = await handle.read(buffer, filled, length - filled, offset + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return buffer.subarray(0, filled)
}

/** The part of a disk from byte `offset` on, `size` bytes long, as if it were all. */
export function windowOf(read: ReadAt, offset: number, size: number): ReadAt {
  return async (at, length) => {
    const inside = Math.max(0, Math.min(length, size - at))
    return inside === 0 ? Buffer.alloc(0) : read(offset + at, inside)
  }
}
