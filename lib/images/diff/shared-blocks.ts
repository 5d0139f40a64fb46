/** What two .xz files hold in the same blocks: `save` takes over the stock's where no byte changed, and nobody needs to unpack them twice. */
import { type FileHandle, open } from 'node:fs/promises'
import { readFileIndex } from '../../formats/xz/file-index.ts'
import { placedBlocks } from '../containers/xz.ts'
import type { PlacedBlock } from '../containers/xz-run.ts'
import { chunkSize } from '../image.ts'
import { readerOf } from '../reads.ts'

const step = 1024 * 1024

/**
 * The chunks of the image in `packed` that lie in blocks which `other` has byte for byte, checks included, for the same
 * place of the disk. Memory: two MiB. @throws E_DAMAGED for what is no sound .xz
 */
export async function sharedChunks(packed: string, other: string): Promise<Set<number>> {
  const [one, two] = [await open(packed), await open(other)]
  try {
    const shared = new Set<number>()
    const [mine, theirs] = [await blocksOf(one), await blocksOf(two)]
    const byStart = new Map(theirs.map((block) => [block.start, block]))
    let [from, to] = [0, 0]
    for (const block of mine) {
      const match = byStart.get(block.start)
      if (!match || !(await isSame(one, block, two, match))) continue
      // A chunk may begin in one shared block and end in the next.
      if (block.start !== to) from = block.start
      to = block.start + block.uncompressed
      for (let index = Math.ceil(from / chunkSize); (index + 1) * chunkSize <= to; index++) shared.add(index)
      from = Math.max(from, Math.floor(to / chunkSize) * chunkSize)
    }
    return shared
  } finally {
    await one.close()
    await two.close()
  }
}

async function blocksOf(file: FileHandle): Promise<PlacedBlock[]> {
  return placedBlocks(await readFileIndex(readerOf(file), (await file.stat()).size))
}

async function isSame(
  a: FileHandle,
  mine: PlacedBlock,
  b: FileHandle,
  theirs: PlacedBlock,
): Promise<boolean> {
  const { unpadded, uncompressed, check } = mine
  if (unpadded !== theirs.unpadded || uncompressed !== theirs.uncompressed || check !== theirs.check)
    return false
  const [left, right] = [readerOf(a), readerOf(b)]
  for (let at = 0; at < unpadded; at += step) {
    const length = Math.min(step, unpadded - at)
    const [x, y] = await Promise.all([left(mine.offset + at, length), right(theirs.offset + at, length)])
    if (x.length !== length || !x.equals(y)) return false
  }
  return true
}
