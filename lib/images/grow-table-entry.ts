/** Makes the last partition of a disk image larger, and the image with it. What is inside the partition stays as it is. */
import { growGpt } from '../formats/gpt-grow.ts'
import { growMbr } from '../formats/mbr-grow.ts'
import { withDisk } from './disk-file.ts'
import { readDiskTable } from './partitions.ts'

/**
 * Gives partition `number` of the image at `diskPath` `size` bytes (a multiple of 512); it must be the last on the disk.
 * The file becomes at least `diskSize` bytes, and large enough. Answers with its size. Ids, names and flags stay.
 */
export function growTableEntry(
  diskPath: string,
  number: number,
  size: number,
  diskSize = 0,
): Promise<number> {
  return withDisk(diskPath, 'r+', async ({ handle, read, size: oldSize }) => {
    const table = await readDiskTable(read, oldSize)
    const grow = (to?: number) =>
      table.kind === 'mbr' ? growMbr(table, number, size, to) : growGpt(table, number, size, to)
    const least = grow()
    const growth = least.diskSize < diskSize ? grow(diskSize) : least
    await handle.truncate(growth.diskSize)
    for (const { offset, bytes } of growth.patches) {
      for (let done = 0; done < bytes.length; ) {
        done += (await handle.write(bytes, done, bytes.length - done, offset + done)).bytesWritten
      }
    }
    await handle.datasync()
    return growth.diskSize
  })
}
