/** Gives an edited working image back the bytes with which it began. */
import { open } from 'node:fs/promises'
import { FleetsieError } from '../../errors.ts'
import { touchedGrain } from '../../formats/xz/cut.ts'
import { chunkDigests, chunksOf } from '../chunk-digests.ts'

/**
 * Copies the pieces `indices` from `pristine` to `disk`, and holds each chunk that they are in against its sum: an image
 * made from a wrong beginning would be wrong, and nothing else would tell. Fails with E_STORE.
 */
export async function putBack(
  disk: string,
  pristine: string,
  indices: readonly number[],
  chunkSum: (chunk: number) => string | null,
): Promise<void> {
  await copyPieces(pristine, disk, indices)
  for (const [chunk, sha256] of await chunkDigests(disk, chunksOf(indices))) {
    if (sha256 === chunkSum(chunk)) continue
    throw new FleetsieError('E_STORE', `the image has other bytes in MiB ${chunk} than its manifest says`, {
      file: pristine,
      hint: 'run `fleetsie store verify --repair`, then build again',
    })
  }
}

async function copyPieces(from: string, to: string, indices: readonly number[]): Promise<void> {
  const source = await open(from, 'r')
  const target = await open(to, 'r+').catch(async (error: unknown) => {
    await source.close()
    throw error
  })
  try {
    const bytes = Buffer.allocUnsafeSlow(touchedGrain)
    for (const index of indices) {
      const at = index * touchedGrain
      // The image's end cuts the last piece.
      const { bytesRead } = await source.read(bytes, 0, touchedGrain, at)
      for (let done = 0; done < bytesRead; ) {
        done += (await target.write(bytes, done, bytesRead - done, at + done)).bytesWritten
      }
    }
  } finally {
    await Promise.all([source.close(), target.close()])
  }
}
