/** The blocks of ext that are in use: what the bitmaps say, and all metadata, also of groups whose bitmap was never written. */
import type { Window } from '../window.ts'
import { groupStart, metadataBlocks, readGroups } from './groups.ts'
import { readSuperblock } from './superblock.ts'

/** As [position, length] in bytes of the partition; in no order. */
export function* extAllocation(window: Window): Generator<[number, number]> {
  const superblock = readSuperblock(window)
  const groups = readGroups(window, superblock)
  const { blockSize, blocks, blocksPerGroup, clusterBlocks } = superblock
  // The boot sector and the superblock, wherever the first group begins.
  yield [0, Math.max(2048, blockSize)]
  for (const [first, count] of metadataBlocks(superblock, groups, 'all'))
    yield [first * blockSize, count * blockSize]
  for (const [index, group] of groups.entries()) {
    if (group.blocksUninitialised) continue
    const start = groupStart(superblock, index)
    const inGroup = Math.min(blocksPerGroup, blocks - start)
    const bitmap = window.read(group.blockBitmap * blockSize, blockSize)
    for (const [bit, count] of setBits(bitmap, Math.ceil(inGroup / clusterBlocks))) {
      const first = start + bit * clusterBlocks
      const last = Math.min(first + count * clusterBlocks, start + inGroup)
      yield [first * blockSize, (last - first) * blockSize]
    }
  }
  // What lies behind the filesystem nobody calls free: hash trees and RAID superblocks are kept there.
  const end = blocks * blockSize
  if (end < window.size) yield [end, window.size - end]
}

/** Stretches of ones among the first `length` bits, as [first, count]. */
function* setBits(bitmap: Buffer, length: number): Generator<[number, number]> {
  let first = -1
  for (let bit = 0; bit < length; ) {
    const byte = bitmap[bit >> 3]!
    // Most bytes are all ones or all zeros.
    if ((bit & 7) === 0 && bit + 8 <= length && (byte === 0 || byte === 0xff)) {
      if (byte === 0 && first >= 0) {
        yield [first, bit - first]
        first = -1
      } else if (byte === 0xff && first < 0) {
        first = bit
      }
      bit += 8
      continue
    }
    const is = (byte >> (bit & 7)) & 1
    if (is && first < 0) first = bit
    if (!is && first >= 0) {
      yield [first, bit - first]
      first = -1
    }
    bit++
  }
  if (first >= 0) yield [first, length - first]
}
