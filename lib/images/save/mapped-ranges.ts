/** Which blocks of an image a flasher must write: all but those that a filesystem calls free. */
import { type BlockRange, bmapBlockSize, cutRanges } from '../../formats/bmap.ts'
import { isExtendedType } from '../../formats/mbr.ts'
import { allocatedRanges } from '../allocation.ts'
import type { PartitionTable } from '../partitions.ts'

/** Ranges for a block map. What lies outside of the partitions (table, boot code, gaps) is always mapped. */
export async function mappedRanges(disk: string, table: PartitionTable): Promise<BlockRange[]> {
  const ranges: BlockRange[] = []
  const add = (start: number, end: number): void => {
    if (end <= start) return
    ranges.push({ first: Math.floor(start / bmapBlockSize), last: Math.ceil(end / bmapBlockSize) - 1 })
  }
  // An extended partition is the room of the logical ones, which speak for themselves.
  const partitions = table.partitions.filter(
    ({ type }) => table.table === 'gpt' || !isExtendedType(Number.parseInt(type, 16)),
  )
  let at = 0
  for (const partition of partitions.sort((a, b) => a.offset - b.offset)) {
    add(at, partition.offset)
    for (const { offset, length } of await allocatedRanges(disk, partition)) add(offset, offset + length)
    at = Math.max(at, partition.offset + partition.size)
  }
  add(at, table.size)
  return cutRanges(ranges)
}
