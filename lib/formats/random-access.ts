/** How a format reads a disk that it never opens, and how it says what to write there. */

/** Reads `length` bytes at byte `offset`; fewer, or none, where the disk ends. */
export type ReadAt = (offset: number, length: number) => Promise<Buffer>

/** Bytes to write at byte `offset` of the disk. Patches are applied in order. */
export interface Patch {
  offset: number
  bytes: Buffer
}

/** A partition table's answer to growing a partition. */
export interface Growth {
  /** The disk's new size in bytes: what the file must be before the patches are written. */
  diskSize: number
  patches: Patch[]
}

/** Every table here counts in sectors of this many bytes. */
export const sectorSize = 512
/** Disks grow to a multiple of this, bytes. */
export const growthUnit = 1024 * 1024

export function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit
}
