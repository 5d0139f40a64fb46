/** Reads of open files at any place, for lib/formats. */
import type { FileHandle } from 'node:fs/promises'
import { FleetsieError } from '../errors.ts'
import type { ReadAt } from '../formats/random-access.ts'

const step = 256 * 1024

/** Reads `file`; nothing where a damaged table asks for a place that no file has. */
export function readerOf(file: FileHandle): ReadAt {
  return async (offset, length) => {
    // read() refuses such numbers with a RangeError.
    if (!Number.isSafeInteger(offset) || offset < 0) return Buffer.alloc(0)
    const bytes = Buffer.allocUnsafe(length)
    let done = 0
    while (done < length) {
      const { bytesRead } = await file.read(bytes, done, length - done, offset + done)
      if (bytesRead === 0) break
      done += bytesRead
    }
    return bytes.subarray(0, done)
  }
}

/** The part of a disk from byte `offset` on, `size` bytes long, as if it were all. */
export function windowOf(read: ReadAt, offset: number, size: number): ReadAt {
  return async (at, length) => {
    const inside = Math.max(0, Math.min(length, size - at))
    return inside === 0 ? Buffer.alloc(0) : read(offset + at, inside)
  }
}

/** The bytes [offset, offset + length) of a file, in parts. @throws E_DAMAGED when it ends before */
export async function* readRange(read: ReadAt, offset: number, length: number): AsyncGenerator<Buffer> {
  for (let done = 0; done < length; ) {
    const bytes = await read(offset + done, Math.min(step, length - done))
    if (bytes.length === 0) throw new FleetsieError('E_DAMAGED', `the file ends at byte ${offset + done}`)
    yield bytes
    done += bytes.length
  }
}
