/**
 * Which bytes of a partition its filesystem uses. What is outside need not be written to a card:
 * this is what a block map holds, and why SEEK_HOLE is never asked (a block of zeros in use is not a hole).
 */
import { type ByteRange, rangesOnDisk } from './byte-ranges.ts'
import { extAllocation } from './ext/allocation.ts'
import { fatAllocation } from './fat/allocation.ts'
import type { EditablePartition } from './partition-edit.ts'
import { withWindow } from './window.ts'

/** In order and apart. Of a filesystem that this program does not know: everything. Errors: E_DAMAGED. */
export function allocatedRanges(disk: string, partition: EditablePartition): Promise<ByteRange[]> {
  return withWindow(disk, partition, 'r', (window) => {
    switch (partition.filesystem) {
      case 'ext2':
      case 'ext3':
      case 'ext4':
        return rangesOnDisk(extAllocation(window), partition.offset)
      case 'vfat':
        return rangesOnDisk(fatAllocation(window), partition.offset)
      default:
        return [{ offset: partition.offset, length: window.size }]
    }
  })
}
