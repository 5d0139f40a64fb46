/** One GPT header and its array of entries (UEFI specification 2.10, section 5.3). */
import { crc32 } from './crc32.ts'
import { readGuid } from './guid.ts'
import { type ReadAt, sectorSize } from './random-access.ts'

/** A header that holds: signature, place, both CRCs, and bounds within the disk. */
export interface GptHeader {
  /** Sector numbers: its own, the other header's, the first and last that partitions may use, the entries'. */
  lba: number
  otherLba: number
  firstUsable: number
  lastUsable: number
  entriesLba: number
  entryCount: number
  /** Bytes. */
  entrySize: number
  diskId: string
  /** The header's sector and the entries' bytes as read. */
  sector: Buffer
  entries: Buffer
}

const signature = Buffer.from('EFI PART')
const revision = 0x00010000
const minHeaderSize = 92
/** Offsets within a header. */
const at = { size: 12, crc: 16, lba: 24, otherLba: 32, firstUsable: 40, lastUsable: 48, diskId: 56 } as const
const atEntries = { lba: 72, count: 80, size: 84, crc: 88 } as const
/** Sixteen times what anyone writes; a count above it is damage, not a disk. */
const maxEntries = 2048
const maxEntrySize = 1024

/** Reads and checks the header at sector `lba` of a disk of `diskSectors`. A string says what is wrong with it. */
export async function readGptHeader(
  read: ReadAt,
  lba: number,
  diskSectors: number,
): Promise<GptHeader | string> {
  const where = `at byte ${lba * sectorSize}`
  const sector = await read(lba * sectorSize, sectorSize)
  if (sector.length < sectorSize) return `no sector ${where}`
  if (!sector.subarray(0, 8).equals(signature)) return `no signature 'EFI PART' ${where}`
  if (sector.readUInt32LE(8) !== revision) return `unknown revision ${where}`
  const size = sector.readUInt32LE(at.size)
  if (size < minHeaderSize || size > sectorSize) return `a header of ${size} bytes ${where}`
  if (headerCrc(sector) !== sector.readUInt32LE(at.crc)) return `the header's CRC is wrong ${where}`

  const lbas = [at.lba, at.otherLba, at.firstUsable, at.lastUsable, atEntries.lba].map((field) =>
    Number(sector.readBigUInt64LE(field)),
  )
  const [ownLba, otherLba, firstUsable, lastUsable, entriesLba] = lbas as [
    number,
    number,
    number,
    number,
    number,
  ]
  if (ownLba !== lba) return `the header ${where} says that it is at sector ${ownLba}`
  const entryCount = sector.readUInt32LE(atEntries.count)
  const entrySize = sector.readUInt32LE(atEntries.size)
  if (entryCount < 1 || entryCount > maxEntries) return `an array of ${entryCount} entries ${where}`
  if (entrySize < 128 || entrySize > maxEntrySize || (entrySize & (entrySize - 1)) !== 0) {
    return `entries of ${entrySize} bytes ${where}`
  }
  const entrySectors = Math.ceil((entryCount * entrySize) / sectorSize)
  if (firstUsable > lastUsable || lastUsable >= diskSectors) {
    return `the header ${where} gives sectors ${firstUsable} to ${lastUsable} to partitions; the disk has ${diskSectors}`
  }
  if (lba >= firstUsable && lba <= lastUsable) return `the header ${where} lies where partitions may be`
  const overUsable = entriesLba <= lastUsable && entriesLba + entrySectors > firstUsable
  const overHeader = entriesLba <= lba && entriesLba + entrySectors > lba
  if (entriesLba < 2 || entriesLba + entrySectors > diskSectors || overUsable || overHeader) {
    return `the header ${where} puts the entries at sector ${entriesLba}`
  }
  const entries = await read(entriesLba * sectorSize, entryCount * entrySize)
  if (crc32(entries) !== sector.readUInt32LE(atEntries.crc)) {
    return `the CRC of the entries at byte ${entriesLba * sectorSize} is wrong`
  }
  const diskId = readGuid(sector, at.diskId)
  return {
    lba,
    otherLba,
    firstUsable,
    lastUsable,
    entriesLba,
    entryCount,
    entrySize,
    diskId,
    sector,
    entries,
  }
}

/** The header's sector again, with other places and entries and the CRCs that these give. All else stays. */
export function rewriteGptHeader(
  sector: Buffer,
  places: Pick<GptHeader, 'lba' | 'otherLba' | 'lastUsable' | 'entriesLba'>,
  entries: Buffer,
): Buffer {
  const written = Buffer.from(sector)
  written.writeBigUInt64LE(BigInt(places.lba), at.lba)
  written.writeBigUInt64LE(BigInt(places.otherLba), at.otherLba)
  written.writeBigUInt64LE(BigInt(places.lastUsable), at.lastUsable)
  written.writeBigUInt64LE(BigInt(places.entriesLba), atEntries.lba)
  written.writeUInt32LE(crc32(entries), atEntries.crc)
  written.writeUInt32LE(headerCrc(written), at.crc)
  return written
}

/** The CRC counts its own field as zero. */
function headerCrc(sector: Buffer): number {
  const header = Buffer.from(sector.subarray(0, sector.readUInt32LE(at.size)))
  header.writeUInt32LE(0, at.crc)
  return crc32(header)
}
