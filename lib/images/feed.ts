/** Reads parts of a file, and feeds a program's stdin. */
import type { FileHandle } from 'node:fs/promises'
import type { Writable } from 'node:stream'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { FleetsieError } from '../errors.ts'
import type { ReadAt } from '../formats/random-access.ts'

const step = 256 * 1024

/** Writes `chunks` and ends stdin. A pipe that the program closes is no failure: its exit code tells more. */
export async function feed(stdin: Writable, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  let failure: unknown
  async function* watched(): AsyncGenerator<Uint8Array> {
    try {
      yield* chunks
    } catch (error) {
      failure = error
      throw error
    }
  }
  await pipeline(Readable.from(watched()), stdin).catch(() => {
    if (failure) throw failure
  })
}

/** Reads of a file at any place. */
export function readerOf(file: FileHandle): ReadAt {
  return async (offset, length) => {
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

/** The bytes [offset, offset + length) of a file, in parts. @throws E_DAMAGED when it ends before */
export async function* readRange(read: ReadAt, offset: number, length: number): AsyncGenerator<Buffer> {
  for (let done = 0; done < length; ) {
    const bytes = await read(offset + done, Math.min(step, length - done))
    if (bytes.length === 0) throw new FleetsieError('E_DAMAGED', `the file ends at byte ${offset + done}`)
    yield bytes
    done += bytes.length
  }
}
