/**
 * MBR partition tables ("DOS label"): four primary entries, and the chain of EBRs with the logical ones.
 * Numbered as Linux and sfdisk do: primary by slot, logical from 5 in the chain's order, empty links left out.
 */
import { FleetsieError } from '../errors.ts'
import { type ReadAt, sectorSize } from './random-access.ts'
import { checkRegions, type Region } from './regions.ts'

export interface MbrPartition {
  number: number
  kind: 'primary' | 'extended' | 'logical'
  /** The partition type byte. */
  type: number
  bootable: boolean
  /** Bytes from the start of the disk. */
  offset: number
  /** Bytes. */
  size: number
  /** Byte offset on the disk of its 16-byte entry. */
  entryAt: number
  /** Logical, but for the first: byte offset of the entry that links to its EBR. */
  linkAt?: number
}

export interface MbrTable {
  kind: 'mbr'
  /** Bytes. */
  diskSize: number
  /** The disk signature as blkid spells it: eight hex digits. */
  diskId: string
  partitions: MbrPartition[]
  /** The sectors that make the table, by byte offset, as read: boot code and all. */
  sectors: ReadonlyMap<number, Buffer>
}

interface Entry {
  at: number
  type: number
  status: number
  /** Sectors. */
  start: number
  sectors: number
}

const tableAt = 446
const signatureAt = 510
const diskIdAt = 440
const protectiveType = 0xee
/** More than Linux numbers on a disk, and far fewer than a chain that goes astray. */
const maxLogical = 128

export const isExtendedType = (type: number): boolean => type === 0x05 || type === 0x0f || type === 0x85

function readEntries(sector: Buffer, sectorAt: number): Entry[] {
  return [0, 1, 2, 3].map((slot) => {
    const at = tableAt + slot * 16
    return {
      at: sectorAt + at,
      status: sector[at]!,
      type: sector[at + 4]!,
      start: sector.readUInt32LE(at + 8),
      sectors: sector.readUInt32LE(at + 12),
    }
  })
}

function hasSignature(sector: Buffer): boolean {
  return sector.length === sectorSize && sector.readUInt16LE(signatureAt) === 0xaa55
}

/** Byte offset of the first sector's entry that says "this disk has a GPT"; undefined when none does. */
export function protectiveEntry(sector: Buffer): number | undefined {
  if (!hasSignature(sector)) return undefined
  return readEntries(sector, 0).find((entry) => entry.type === protectiveType && entry.sectors > 0)?.at
}

/** Reads the table of a disk of `diskSize` bytes. Fails with E_DAMAGED, naming the byte. */
export async function readMbr(read: ReadAt, diskSize: number): Promise<MbrTable> {
  const first = await read(0, sectorSize)
  if (!hasSignature(first)) {
    throw new FleetsieError('E_DAMAGED', `no partition table: byte ${signatureAt} does not hold 55 aa`, {
      hint: 'an image of a whole disk is needed, with an MBR or a GPT',
    })
  }
  const sectors = new Map([[0, first]])
  const partitions: MbrPartition[] = []
  for (const [slot, entry] of readEntries(first, 0).entries()) {
    if (entry.sectors === 0) continue
    checkStatus(entry)
    const kind = isExtendedType(entry.type) ? 'extended' : 'primary'
    if (kind === 'extended' && partitions.some((other) => other.kind === 'extended')) {
      throw new FleetsieError('E_DAMAGED', `a second extended partition, in the entry at byte ${entry.at}`)
    }
    partitions.push(partition(slot + 1, kind, entry, 0))
  }
  const table = { name: 'the partition table', offset: 0, size: sectorSize, entryAt: 0 }
  checkRegions([table, ...partitions.map(region)], diskSize)
  const extended = partitions.find(({ kind }) => kind === 'extended')
  if (extended) partitions.push(...(await readLogical(read, extended, sectors)))
  const diskId = first.readUInt32LE(diskIdAt).toString(16).padStart(8, '0')
  return { kind: 'mbr', diskSize, diskId, partitions, sectors }
}

/** Follows the chain of EBRs and adds each to `sectors`. */
async function readLogical(
  read: ReadAt,
  extended: MbrPartition,
  sectors: Map<number, Buffer>,
): Promise<MbrPartition[]> {
  const partitions: MbrPartition[] = []
  const tables: Region[] = []
  const end = extended.offset + extended.size
  let at = extended.offset
  let linkAt: number | undefined
  for (;;) {
    const sector = await read(at, sectorSize)
    // A fresh extended partition may never have been written to.
    if (linkAt === undefined && sector.every((byte) => byte === 0)) return []
    if (!hasSignature(sector)) {
      throw new FleetsieError(
        'E_DAMAGED',
        `no EBR at byte ${at}: byte ${at + signatureAt} does not hold 55 aa`,
      )
    }
    sectors.set(at, sector)
    tables.push({ name: 'an EBR', offset: at, size: sectorSize, entryAt: linkAt ?? extended.entryAt })
    if (tables.length > maxLogical) {
      throw new FleetsieError('E_DAMAGED', `more than ${maxLogical} EBRs; the chain has come to byte ${at}`)
    }
    const entries = readEntries(sector, at).filter((entry) => entry.sectors > 0)
    const data = entries.find((entry) => !isExtendedType(entry.type))
    if (data) {
      checkStatus(data)
      const logical = partition(5 + partitions.length, 'logical', data, at)
      if (linkAt !== undefined) logical.linkAt = linkAt
      partitions.push(logical)
    }
    const link = entries.find((entry) => isExtendedType(entry.type))
    if (!link) break
    // Links count from the start of the extended partition, data from their own EBR.
    at = extended.offset + link.start * sectorSize
    linkAt = link.at
    if (sectors.has(at)) {
      throw new FleetsieError(
        'E_DAMAGED',
        `the EBR chain loops: the entry at byte ${linkAt} links back to byte ${at}`,
      )
    }
    if (at >= end) {
      throw new FleetsieError(
        'E_DAMAGED',
        `the entry at byte ${linkAt} links to byte ${at}, outside the extended partition, which ends at byte ${end}`,
      )
    }
  }
  checkRegions([...tables, ...partitions.map(region)], end)
  return partitions
}

function partition(number: number, kind: MbrPartition['kind'], entry: Entry, base: number): MbrPartition {
  return {
    number,
    kind,
    type: entry.type,
    bootable: entry.status === 0x80,
    offset: base + entry.start * sectorSize,
    size: entry.sectors * sectorSize,
    entryAt: entry.at,
  }
}

function checkStatus(entry: Entry): void {
  if (entry.status === 0 || entry.status === 0x80) return
  const got = entry.status.toString(16).padStart(2, '0')
  throw new FleetsieError(
    'E_DAMAGED',
    `byte ${entry.at} of the partition table must be 00 or 80, it is ${got}`,
    {
      hint: 'the first sector may be a filesystem or boot code: an image of a whole disk is needed',
    },
  )
}

function region({ number, offset, size, entryAt }: MbrPartition): Region {
  return { name: `partition ${number}`, offset, size, entryAt }
}
