/** Growing the last partition of a GPT disk, and moving the backup table to the disk's new end. */
import { FleetsieError } from '../errors.ts'
import { movedChs } from './chs.ts'
import { type GptTable, withLastSector } from './gpt.ts'
import { type GptHeader, rewriteGptHeader } from './gpt-header.ts'
import { protectiveEntry } from './mbr.ts'
import { type Growth, growthUnit, type Patch, roundUp, sectorSize } from './random-access.ts'

/**
 * Makes partition `number`, which must be the last on the disk, `size` bytes large. The disk becomes `diskSize` bytes;
 * without that, large enough. GUIDs, names and attributes stay. Fails with E_INPUT, or E_DAMAGED on a damaged first header.
 */
export function growGpt(table: GptTable, number: number, size: number, diskSize?: number): Growth {
  const { header } = table
  if (header.lba !== 1) {
    // Where the first array belongs is known from the first header alone: some boards keep a boot loader at sector 2.
    throw new FleetsieError('E_DAMAGED', `cannot grow: ${table.warnings.join('; ')}`, {
      hint: 'mend the table first, for example with `sgdisk -e` on a copy of the image',
    })
  }
  const grown = table.partitions.find((partition) => partition.number === number)
  if (!grown) throw new FleetsieError('E_INPUT', `the disk has no partition ${number}`)
  const after = table.partitions.find((other) => other.offset > grown.offset)
  if (after) {
    throw new FleetsieError(
      'E_INPUT',
      `partition ${number} cannot grow: partition ${after.number} comes after it`,
    )
  }
  if (size % sectorSize !== 0 || size < grown.size) {
    throw new FleetsieError(
      'E_INPUT',
      `partition ${number} has ${grown.size} bytes and cannot become ${size}: ` +
        `it can only grow, by whole sectors of ${sectorSize} bytes`,
    )
  }
  const arraySectors = Math.ceil(header.entries.length / sectorSize)
  const end = grown.offset + size
  const needed = end + (arraySectors + 1) * sectorSize
  const newDiskSize = diskSize ?? Math.max(table.diskSize, roundUp(needed, growthUnit))
  if (needed > newDiskSize || newDiskSize < table.diskSize) {
    throw new FleetsieError(
      'E_INPUT',
      `partition ${number} needs a disk of ${Math.max(needed, table.diskSize)} bytes, not ${newDiskSize}`,
    )
  }
  const entries = withLastSector(header, grown, end / sectorSize - 1)
  const backupLba = Math.floor(newDiskSize / sectorSize) - 1
  const backupArray = backupLba - arraySectors
  const places = { lba: 1, otherLba: backupLba, lastUsable: backupArray - 1, entriesLba: header.entriesLba }
  const backupPlaces = { ...places, lba: backupLba, otherLba: 1, entriesLba: backupArray }
  const patches = [
    ...erased(table.other),
    patch(0, grownProtectiveMbr(table, newDiskSize)),
    patch(header.entriesLba, entries),
    patch(backupArray, entries),
    patch(backupLba, rewriteGptHeader(table.other?.sector ?? header.sector, backupPlaces, entries)),
    // Last: until then the first header still describes what was there.
    patch(1, rewriteGptHeader(header.sector, places, entries)),
  ]
  return { diskSize: newDiskSize, patches }
}

function patch(lba: number, bytes: Buffer): Patch {
  return { offset: lba * sectorSize, bytes }
}

/** The old backup lies where the partition goes: left there, a tool may take it for the table. */
function erased(backup: GptHeader | undefined): Patch[] {
  if (!backup) return []
  return [
    patch(backup.entriesLba, Buffer.alloc(backup.entries.length)),
    patch(backup.lba, Buffer.alloc(sectorSize)),
  ]
}

/** The first sector, whose entry of type ee covers the larger disk as it covered the old one. */
function grownProtectiveMbr(table: GptTable, diskSize: number): Buffer {
  const sector = Buffer.from(table.protectiveMbr)
  const entryAt = protectiveEntry(sector)!
  const entry = sector.subarray(entryAt, entryAt + 16)
  const start = entry.readUInt32LE(8)
  const sectors = entry.readUInt32LE(12)
  const oldEnd = Math.floor(table.diskSize / sectorSize)
  // In a hybrid MBR it ends before the first partition that has an entry there as well.
  if (sectors === 0xffff_ffff || start + sectors < oldEnd) return sector
  const covered = Math.min(diskSize / sectorSize - start, 0xffff_ffff)
  entry.writeUInt32LE(Math.floor(covered), 12)
  movedChs(entry.subarray(5, 8), start + sectors - 1, start + Math.floor(covered) - 1).copy(entry, 5)
  return sector
}
