/** Holds what is read of an image against the sums of its block map. */
import { createHash, type Hash } from 'node:crypto'
import { FleetsieError } from '../../errors.ts'
import type { Bmap } from '../../formats/bmap-parse.ts'

/** Ranges that are not read from their start to their end in order are left out. */
export class RangeCheck {
  readonly #map: Bmap
  #next = 0
  #hash: Hash | undefined
  /** Byte up to which the range under way has been hashed. */
  #at = 0

  constructor(map: Bmap) {
    this.#map = map
  }

  /** To be called in the order of the disk. @throws E_VERIFY where a range is not what the map says */
  take(at: number, bytes: Buffer): void {
    const { ranges, blockSize, imageSize, checksumType } = this.#map
    const end = at + bytes.length
    for (; this.#next < ranges.length; this.#next++) {
      const range = ranges[this.#next]!
      const start = range.first * blockSize
      const stop = Math.min(imageSize, (range.last + 1) * blockSize)
      if (start >= end) return
      if (range.checksum !== null && at <= start) {
        this.#hash = createHash(checksumType)
        this.#at = start
      }
      if (this.#hash && this.#at >= at && this.#at < end) {
        const to = Math.min(stop, end)
        this.#hash.update(bytes.subarray(this.#at - at, to - at))
        this.#at = to
      } else this.#hash = undefined
      if (stop > end) return
      const sum = this.#hash?.digest('hex')
      this.#hash = undefined
      if (sum === undefined || sum === range.checksum) continue
      throw new FleetsieError(
        'E_VERIFY',
        `bytes ${start} to ${stop - 1} of the image are not those of its block map: their ${checksumType} is ${sum}`,
        { hint: 'the .bmap belongs to another image: get both again from the same place' },
      )
    }
  }
}
