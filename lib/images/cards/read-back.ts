/** Whether a card holds what programs have written to it through the machine's cache. */
import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { FleetsieError } from '../../errors.ts'
import type { ByteRange } from '../byte-ranges.ts'
import { alignedBuffers } from '../flash/buffers.ts'
import { readPlace, roomFor } from '../flash/compare-places.ts'
import type { Target } from '../flash/types.ts'
import type { Touched } from '../values/types.ts'

const piece = 64 * 1024

/**
 * Compares what the cache and the medium hold of `touched`, which has to be flushed; the targets have been open since before
 * it was written, so that the cache has it still. Answers the bytes. Fails with E_VERIFY naming the first place that differs.
 */
export async function readBack(targets: readonly Target[], touched: readonly Touched[]): Promise<number> {
  let bytes = 0
  for (const { path, ranges } of touched) {
    const target = targets.find((one) => one.path === path)
    if (!target) continue
    const pieces = ranges.flatMap(piecesOf)
    const written = await inCache(path, pieces)
    await target.forget()
    const [buffer] = alignedBuffers(1, roomFor(piece)) as [Buffer]
    for (const [i, { offset, length }] of pieces.entries()) {
      const held = await readPlace(target, offset, length, buffer)
      if (sumOf(held) !== written[i]) throw wrongPlace(target, pieces[i]!)
      bytes += length
    }
  }
  return bytes
}

async function inCache(path: string, pieces: readonly ByteRange[]): Promise<string[]> {
  const file = await open(path, 'r')
  const buffer = Buffer.alloc(piece)
  const sums: string[] = []
  try {
    for (const { offset, length } of pieces) {
      const { bytesRead } = await file.read(buffer, 0, length, offset)
      sums.push(sumOf(buffer.subarray(0, bytesRead)))
    }
    return sums
  } finally {
    await file.close()
  }
}

function piecesOf({ offset, length }: ByteRange): ByteRange[] {
  return Array.from({ length: Math.ceil(length / piece) }, (_, i) => {
    return { offset: offset + i * piece, length: Math.min(piece, length - i * piece) }
  })
}

function sumOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function wrongPlace({ path }: Target, { offset, length }: ByteRange): FleetsieError {
  return new FleetsieError(
    'E_VERIFY',
    `${path} does not hold what was written to it: of the ${length} bytes from byte ${offset} on some read back differently`,
    { file: path, hint: 'the card is worn out, or holds less than it says: use another one' },
  )
}
