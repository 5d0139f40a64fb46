/** GUID partition tables: the first header, or the backup where the first is damaged. */
import { FleetsieError } from '../errors.ts'
import { type GptHeader, readGptHeader } from './gpt-header.ts'
import { readGuid } from './guid.ts'
import { protectiveEntry } from './mbr.ts'
import { type ReadAt, sectorSize } from './random-access.ts'
import { checkRegions } from './regions.ts'

export interface GptPartition {
  /** Its slot in the array, from 1. */
  number: number
  /** The type GUID, in lower case as all GUIDs here. */
  type: string
  /** The PARTUUID. */
  id: string
  name: string
  /** All 64 attribute bits. */
  attributes: bigint
  /** Attribute bit 2, 'legacy BIOS bootable'. */
  bootable: boolean
  /** Bytes from the start of the disk. */
  offset: number
  /** Bytes. */
  size: number
  /** Byte offset on the disk of its entry. */
  entryAt: number
}

export interface GptTable {
  kind: 'gpt'
  /** Bytes. */
  diskSize: number
  diskId: string
  partitions: GptPartition[]
  /** The header that all this was read from: the first, or where that is damaged the backup. */
  header: GptHeader
  /** The backup, where it is sound too and says the same. */
  other: GptHeader | undefined
  /** The first sector, as read. */
  protectiveMbr: Buffer
  /** What was wrong and could be done without: a damaged header. */
  warnings: string[]
}

const noType = '00000000-0000-0000-0000-000000000000'
/** Offsets within an entry. */
const at = { type: 0, id: 16, first: 32, last: 40, attributes: 48, name: 56, nameEnd: 128 } as const

/** Reads the table of a disk of `diskSize` bytes. Fails with E_DAMAGED, naming the byte. */
export async function readGpt(read: ReadAt, diskSize: number): Promise<GptTable> {
  const protectiveMbr = await read(0, sectorSize)
  if (protectiveEntry(protectiveMbr) === undefined) {
    throw new FleetsieError('E_DAMAGED', 'no protective MBR (an entry of type ee) at byte 446')
  }
  const diskSectors = Math.floor(diskSize / sectorSize)
  const first = await readGptHeader(read, 1, diskSectors)
  // An image that was made longer has its backup where the first header says, not at its end.
  const claimed = typeof first === 'string' ? diskSectors - 1 : first.otherLba
  const backup =
    claimed > 1 && claimed < diskSectors
      ? await readGptHeader(read, claimed, diskSectors)
      : `it should be at sector ${claimed} of ${diskSectors}`
  const header = typeof first === 'string' ? backup : first
  if (typeof header === 'string') {
    const large = await read(4096, 8)
    if (large.toString('latin1') === 'EFI PART') {
      throw new FleetsieError('E_UNSUPPORTED', `the GPT at byte 4096 is for sectors of 4096 bytes`)
    }
    throw new FleetsieError('E_DAMAGED', `both GPT headers are damaged: ${first}; backup: ${header}`, {
      hint: 'the image may be cut short: fetch it again and compare its sha256',
    })
  }
  const warnings: string[] = []
  if (typeof first === 'string')
    warnings.push(`the first GPT header is damaged, its backup is used: ${first}`)
  else if (typeof backup === 'string') warnings.push(`the backup GPT header is damaged: ${backup}`)
  else if (!sameTable(first, backup)) warnings.push('the backup GPT differs from the first, which is used')
  const intact = warnings.length === 0 && typeof backup !== 'string'
  const partitions = readEntries(header)
  const { diskId } = header
  const other = intact ? backup : undefined
  return { kind: 'gpt', diskSize, diskId, partitions, header, other, protectiveMbr, warnings }
}

function sameTable(a: GptHeader, b: GptHeader): boolean {
  const sameBounds = a.firstUsable === b.firstUsable && a.lastUsable === b.lastUsable
  return sameBounds && a.diskId === b.diskId && a.entries.equals(b.entries)
}

function readEntries(header: GptHeader): GptPartition[] {
  const partitions: GptPartition[] = []
  for (let slot = 0; slot < header.entryCount; slot++) {
    const entry = header.entries.subarray(slot * header.entrySize, (slot + 1) * header.entrySize)
    const type = readGuid(entry, at.type)
    if (type === noType) continue
    const entryAt = header.entriesLba * sectorSize + slot * header.entrySize
    const first = Number(entry.readBigUInt64LE(at.first))
    const last = Number(entry.readBigUInt64LE(at.last))
    if (first > last || first < header.firstUsable || last > header.lastUsable) {
      throw new FleetsieError(
        'E_DAMAGED',
        `partition ${slot + 1} has sectors ${first} to ${last}, but the GPT allows ${header.firstUsable} to ` +
          `${header.lastUsable}; its entry is at byte ${entryAt}`,
      )
    }
    const attributes = entry.readBigUInt64LE(at.attributes)
    partitions.push({
      number: slot + 1,
      type,
      id: readGuid(entry, at.id),
      name: readName(entry),
      attributes,
      bootable: (attributes & 4n) !== 0n,
      offset: first * sectorSize,
      size: (last - first + 1) * sectorSize,
      entryAt,
    })
  }
  const end = (header.lastUsable + 1) * sectorSize
  checkRegions(
    partitions.map((partition) => ({ ...partition, name: `partition ${partition.number}` })),
    end,
  )
  return partitions
}

function readName(entry: Buffer): string {
  const name = entry.toString('utf16le', at.name, at.nameEnd)
  const end = name.indexOf('\0')
  return end < 0 ? name : name.slice(0, end)
}

/** A copy of the entries in which `partition` ends with sector `last`. */
export function withLastSector(header: GptHeader, partition: GptPartition, last: number): Buffer {
  const entries = Buffer.from(header.entries)
  entries.writeBigUInt64LE(BigInt(last), (partition.number - 1) * header.entrySize + at.last)
  return entries
}
