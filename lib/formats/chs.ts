/** Cylinder/head/sector addresses in MBR entries: three bytes that firmware may still look at. */

const heads = 255
const sectorsPerTrack = 63
const maximum = Buffer.from([0xfe, 0xff, 0xff])

/** The address of sector `lba` in the 255/63 geometry that every current tool assumes. */
function chsOf(lba: number): Buffer {
  const cylinder = Math.floor(lba / (heads * sectorsPerTrack))
  if (cylinder > 1023) return maximum
  const head = Math.floor(lba / sectorsPerTrack) % heads
  const sector = (lba % sectorsPerTrack) + 1
  return Buffer.from([head, sector | ((cylinder >> 8) << 6), cylinder & 0xff])
}

/**
 * The end address for an entry whose last sector moves from `oldLast` to `newLast`. An entry that never said one keeps
 * its zeros; one in another geometry becomes 'use the LBA', the only thing that is true in every geometry.
 */
export function movedChs(old: Buffer, oldLast: number, newLast: number): Buffer {
  if (old.equals(Buffer.alloc(3))) return old
  return old.equals(chsOf(oldLast)) ? chsOf(newLast) : maximum
}
