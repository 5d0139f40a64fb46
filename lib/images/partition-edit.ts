/** What editing a partition needs to know of it; a PartitionInfo has it all. */
export interface EditablePartition {
  number: number
  /** Bytes from the start of the disk. */
  offset: number
  size: number
  /** ext2, ext3, ext4 or vfat can be edited. */
  filesystem: string | null
}

/** `part_2`, as in layer sets and messages. */
export function partitionName(partition: { number: number }): string {
  return `part_${partition.number}`
}
