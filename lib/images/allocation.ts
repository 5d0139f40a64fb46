/**
 * Which bytes of a partition its filesystem uses. What is outside need not be written to a card:
 * this is what a block map holds, and why SEEK_HOLE is never asked (a block of zeros in use is not a hole).
 */
import { extAllocation } from './ext/allocation.ts'
import { fatAllocation } from './fat/allocation.ts'
import type { EditablePartition } from './partition-edit.ts'
import { withWindow } from './window.ts'

/** Bytes from the start of the disk. */
export interface ByteRange {
  offset: number
  length: number
}

/** In order and apart. Of a filesystem that this program does not know: everything. Errors: E_DAMAGED. */
export function allocatedRanges(disk: string, partition: EditablePartition): Promise<ByteRange[]> {
  return withWindow(disk, partition, 'r', (window) => {
    switch (partition.filesystem) {
      case 'ext2':
      case 'ext3':
      case 'ext4':
        return onDisk(extAllocation(window), partition.offset)
      case 'vfat':
        return onDisk(fatAllocation(window), partition.offset)
      default:
        return [{ offset: partition.offset, length: window.size }]
    }
  })
}

/** Sorts, merges what touches or overlaps, and counts from the disk's start. */
function onDisk(places: Iterable<[number, number]>, offset: number): ByteRange[] {
  const ranges: ByteRange[] = []
  for (const [position, length] of [...places].sort(([a], [b]) => a - b)) {
    const start = offset + position
    const last = ranges.at(-1)
    if (last && start <= last.offset + last.length)
      last.length = Math.max(last.length, start + length - last.offset)
    else ranges.push({ offset: start, length })
  }
  return ranges
}
