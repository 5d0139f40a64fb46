/** The guard against an image that would fill the disk. */
import { statfs } from 'node:fs/promises'
import { FleetsieError } from '../../errors.ts'
import { maxImageSize } from '../limits.ts'

/**
 * A check of image sizes against `maxSize` and what is free where `folder` lies, both in bytes.
 * The whole size counts, though zeros take no room: a tool may fill them in later.
 */
export async function roomFor(folder: string, maxSize: number): Promise<(bytes: number) => void> {
  const { bavail, bsize } = await statfs(folder)
  const free = bavail * bsize
  return (bytes) => {
    if (bytes > maxImageSize) {
      throw new FleetsieError(
        'E_UNSUPPORTED',
        `an image of ${inMiB(bytes)}: at most ${inMiB(maxImageSize)} are possible`,
      )
    }
    if (bytes > maxSize) {
      throw new FleetsieError(
        'E_UNSAFE',
        `the image is larger than ${inMiB(maxSize)}: ${inMiB(bytes)} or more`,
        {
          hint: 'a larger `maxSize` of decompress allows it',
        },
      )
    }
    if (bytes > free) {
      throw new FleetsieError(
        'E_IO',
        `the image needs ${inMiB(bytes)} or more, but only ${inMiB(free)} are free in the store`,
        { hint: 'free some space, for example with `fleetsie gc`' },
      )
    }
  }
}

function inMiB(bytes: number): string {
  return `${Math.ceil(bytes / 1024 ** 2)} MiB`
}
