/** Ranges of a disk image's bytes. */

/** Bytes from the start of the disk. */
export interface ByteRange {
  offset: number
  length: number
}

/** Ranges in order and apart, of places in a partition that begins at `offset`, which may overlap. */
export function rangesOnDisk(
  places: Iterable<readonly [position: number, length: number]>,
  offset: number,
): ByteRange[] {
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
