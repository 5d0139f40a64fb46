/** The time that stands for a stock image: when it was finished, by its own account. */
import { withDisk } from '../disk-file.ts'
import type { PartitionTable } from '../partition-table.ts'

const superblockAt = 1024
/** s_wtime and s_wtime_hi of struct ext4_super_block (Linux, fs/ext4/ext4.h). */
const writeTime = { low: 0x30, high: 0x274 }
/** 1980-01-01, the first day that FAT can say; for an image that says nothing. */
const firstFatDay = 315_532_800

/** Seconds since 1970: the latest write time in the superblocks of the image's ext filesystems. */
export function imageTime(disk: string, table: PartitionTable): Promise<number> {
  return withDisk(disk, 'r', async ({ read }) => {
    let latest = firstFatDay
    for (const partition of table.partitions) {
      if (!partition.filesystem?.startsWith('ext')) continue
      const superblock = await read(partition.offset + superblockAt, 1024)
      const seconds = superblock.readUInt32LE(writeTime.low) + superblock[writeTime.high]! * 2 ** 32
      latest = Math.max(latest, seconds)
    }
    return latest
  })
}
