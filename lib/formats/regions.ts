/** What the regions of any partition table must keep to: inside the disk, and off each other. */
import { FleetsieError } from '../errors.ts'

export interface Region {
  /** As a sentence names it: 'partition 2'. */
  name: string
  /** Bytes. */
  offset: number
  size: number
  /** Byte offset of the table's entry that says so. */
  entryAt: number
}

/** Fails with E_DAMAGED where a region runs past `end` or overlaps another. `end` is a byte offset. */
export function checkRegions(regions: readonly Region[], end: number): void {
  const sorted = [...regions].sort((a, b) => a.offset - b.offset || a.size - b.size)
  let widest: Region | undefined
  for (const region of sorted) {
    if (region.offset + region.size > end) {
      throw new FleetsieError(
        'E_DAMAGED',
        `${region.name} runs to byte ${region.offset + region.size}, past the end at byte ${end}; ` +
          `its entry is at byte ${region.entryAt}`,
        { hint: 'the image may be cut short: fetch it again and compare its sha256' },
      )
    }
    if (widest !== undefined && region.offset < widest.offset + widest.size) {
      throw new FleetsieError(
        'E_DAMAGED',
        `${region.name} begins at byte ${region.offset}, inside ${widest.name}, which runs to byte ` +
          `${widest.offset + widest.size}; their entries are at bytes ${region.entryAt} and ${widest.entryAt}`,
      )
    }
    if (widest === undefined || region.offset + region.size > widest.offset + widest.size) widest = region
  }
}
