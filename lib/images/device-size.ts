/** How large an open file or block device is: fstat says 0 of a device. */
import { readFileSync, type Stats } from 'node:fs'
import { FleetsieError } from '../errors.ts'

/** Bytes. Fails with E_INPUT for what is neither a file nor a block device. */
export function sizeOf(stats: Stats): number {
  if (stats.isFile()) return stats.size
  if (!stats.isBlockDevice()) throw new FleetsieError('E_INPUT', 'neither a regular file nor a block device')
  // The numbers as glibc's makedev(3) packs them. sysfs counts in sectors of 512 bytes, whatever the device's own are.
  const { rdev } = stats
  const high = Math.floor(rdev / 2 ** 32)
  const low = rdev % 2 ** 32
  const major = ((low >>> 8) & 0xfff) | (high & 0xfffff000)
  const minor = (low & 0xff) | ((low >>> 12) & 0xffffff00)
  return Number(readFileSync(`/sys/dev/block/${major}:${minor}/size`, 'utf8')) * 512
}
