/** The sums of an image's chunks, as its manifest has them. */
import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { touchedGrain } from '../formats/xz/cut.ts'
import { chunkSize } from './image.ts'

/** The chunks that hold these pieces of `touchedGrain`. */
export function chunksOf(pieces: readonly number[]): number[] {
  return [...new Set(pieces.map((index) => Math.floor((index * touchedGrain) / chunkSize)))]
}

/** sha256 of each of `chunks` of the raw image, null for zeros. Memory: 1 MiB. */
export async function chunkDigests(
  image: string,
  chunks: readonly number[],
): Promise<[chunk: number, sha256: string | null][]> {
  const digests: [number, string | null][] = []
  const bytes = Buffer.allocUnsafeSlow(chunkSize)
  const file = await open(image, 'r')
  try {
    for (const chunk of chunks) {
      let got = 0
      while (got < chunkSize) {
        const { bytesRead } = await file.read(bytes, got, chunkSize - got, chunk * chunkSize + got)
        if (bytesRead === 0) break
        got += bytesRead
      }
      const held = bytes.subarray(0, got)
      digests.push([chunk, isZero(held) ? null : createHash('sha256').update(held).digest('hex')])
    }
  } finally {
    await file.close()
  }
  return digests
}

const zeros = Buffer.alloc(chunkSize)

function isZero(bytes: Buffer): boolean {
  return bytes.compare(zeros, 0, bytes.length) === 0
}
