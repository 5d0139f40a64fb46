/**
 * Finds the blocks that hold nothing but zeros by decoding one of them: in an image with much free space they are
 * most of its blocks, and equal byte for byte. Reading the holes that xz makes of them to hash them would take
 * as long as reading data: 0.7 s for a GiB.
 */
import { createHash } from 'node:crypto'
import type { Run } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import type { ReadAt } from '../../formats/random-access.ts'
import { takeAll } from './decoding.ts'
import { decodeBlocks, type PlacedBlock } from './xz-run.ts'

/** Zeros shrink about 6,900 to 1; a block that shrank less than this holds something. */
const minRatio = 1000
const minSize = 1024 * 1024
const maxCompressed = 64 * 1024
const zeros = Buffer.alloc(64 * 1024)

/** The blocks of which an equal one was decoded and found to be all zeros. */
export async function findZeroBlocks(
  run: Run,
  read: ReadAt,
  blocks: readonly PlacedBlock[],
): Promise<Set<PlacedBlock>> {
  const groups = new Map<string, PlacedBlock[]>()
  for (const block of blocks) {
    if (block.uncompressed < minSize || block.unpadded > maxCompressed) continue
    if (block.uncompressed < block.unpadded * minRatio) continue
    // With its padding, so that a block with damaged padding is decoded, and found out.
    const bytes = await read(block.offset, Math.ceil(block.unpadded / 4) * 4)
    const hash = createHash('sha256').update(`${block.check} ${block.uncompressed}\n`).update(bytes)
    const key = hash.digest('base64')
    const group = groups.get(key)
    if (group) group.push(block)
    else groups.set(key, [block])
  }
  const found = new Set<PlacedBlock>()
  for (const group of groups.values()) {
    // One without its like pays for nothing, but for the last of the file: it is shorter than the others.
    if (group.length === 1 && group[0] !== blocks.at(-1)) continue
    if (await isZero(run, read, group[0]!)) for (const block of group) found.add(block)
  }
  return found
}

async function isZero(run: Run, read: ReadAt, block: PlacedBlock): Promise<boolean> {
  let zero = true
  const compare = (bytes: Buffer): undefined => {
    for (let at = 0; zero && at < bytes.length; at += zeros.length) {
      const part = bytes.subarray(at, at + zeros.length)
      zero = part.equals(zeros.subarray(0, part.length))
    }
  }
  try {
    await decodeBlocks(run, read, [block], { output: (stdout) => takeAll(stdout, compare) })
  } catch (error) {
    // It is decoded again with all others, in their order: the first fault in the file is the one to report.
    if (error instanceof FleetsieError && (error.code === 'E_STAGE' || error.code === 'E_DAMAGED'))
      return false
    throw error
  }
  return zero
}
