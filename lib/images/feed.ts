/** Feeds a program's stdin. */
import type { Writable } from 'node:stream'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

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
