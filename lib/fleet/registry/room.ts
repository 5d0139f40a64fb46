/** Room on the disk, looked at before anything is written: what is broken off in the middle takes room to take back. */
import { statfsSync, statSync } from 'node:fs'
import { FleetsieError } from '../../errors.ts'
import { fleetFile, mainFile, provisioningFile } from './paths.ts'

/** Bytes of a device in the three databases, their indexes and the journals of them. */
const perDevice = 8 * 1024
/** Bytes. */
const least = 1024 * 1024

/** Fails with E_IO where `num` new devices of `fleet` may not fit. */
export function checkRoom(folder: string, fleet: string, num: number): void {
  const files = [mainFile(folder), fleetFile(folder, fleet), provisioningFile(folder, fleet)]
  const sizes = files.map((file) => statSync(file, { throwIfNoEntry: false })?.size ?? 0)
  // New passwords fall all over an index: each page of it may be in the journal as well.
  const needed = least + num * perDevice + 2 * sizes.reduce((sum, size) => sum + size, 0)
  const { bavail, bsize } = statfsSync(folder)
  if (bavail * bsize >= needed) return
  throw new FleetsieError('E_IO', `there is too little room for ${num} devices on the disk`, {
    file: folder,
    hint: `free ${Math.ceil(needed / 1024 / 1024)} MiB, then run it again`,
  })
}
