/** Growing the last partition of an MBR disk. Only the fields that say its size change. */
import { FleetsieError } from '../errors.ts'
import { movedChs } from './chs.ts'
import type { MbrPartition, MbrTable } from './mbr.ts'
import { type Growth, growthUnit, type Patch, roundUp, sectorSize } from './random-access.ts'

const maxSectors = 0xffff_ffff

/**
 * Makes partition `number`, which must be the last on the disk, `size` bytes large, and its extended partition with it.
 * The disk becomes `diskSize` bytes; without that, large enough. Fails with E_INPUT.
 */
export function growMbr(table: MbrTable, number: number, size: number, diskSize?: number): Growth {
  const grown = table.partitions.find((partition) => partition.number === number)
  if (!grown || grown.kind === 'extended') {
    throw new FleetsieError('E_INPUT', `the disk has no partition ${number} that could grow`)
  }
  const end = grown.offset + size
  checkSize(grown, size)
  const container = table.partitions.find(({ kind }) => grown.kind === 'logical' && kind === 'extended')
  const after = table.partitions.find((other) => other !== container && other.offset > grown.offset)
  if (after) {
    throw new FleetsieError(
      'E_INPUT',
      `partition ${number} cannot grow: partition ${after.number} comes after it`,
    )
  }
  const newDiskSize = diskSize ?? Math.max(table.diskSize, roundUp(end, growthUnit))
  if (end > newDiskSize || newDiskSize < table.diskSize) {
    throw new FleetsieError(
      'E_INPUT',
      `partition ${number} needs a disk of ${Math.max(end, table.diskSize)} bytes, not ${newDiskSize}`,
    )
  }
  const sectors = new Map<number, Buffer>()
  // The base is what an entry's start counts from: the MBR, its own EBR, or the extended partition.
  setEnd(table, sectors, grown.entryAt, sectorOf(grown.entryAt), end)
  if (container) {
    setEnd(table, sectors, container.entryAt, 0, end)
    if (grown.linkAt !== undefined) setEnd(table, sectors, grown.linkAt, container.offset, end)
  }
  const patches: Patch[] = [...sectors].map(([offset, bytes]) => ({ offset, bytes }))
  return { diskSize: newDiskSize, patches }
}

function checkSize(partition: MbrPartition, size: number): void {
  if (size % sectorSize !== 0 || size < partition.size) {
    throw new FleetsieError(
      'E_INPUT',
      `partition ${partition.number} has ${partition.size} bytes and cannot become ${size}: ` +
        `it can only grow, by whole sectors of ${sectorSize} bytes`,
    )
  }
  if ((partition.offset + size) / sectorSize > maxSectors) {
    throw new FleetsieError(
      'E_INPUT',
      `an MBR cannot hold a partition that ends at byte ${partition.offset + size}`,
      {
        hint: 'a disk larger than 2 TiB needs a GPT',
      },
    )
  }
}

function sectorOf(at: number): number {
  return at - (at % sectorSize)
}

/** Lets the entry at byte `entryAt` end at byte `end`, unless it ends later already. */
function setEnd(
  table: MbrTable,
  changed: Map<number, Buffer>,
  entryAt: number,
  base: number,
  end: number,
): void {
  const sectorAt = sectorOf(entryAt)
  const sector = changed.get(sectorAt) ?? Buffer.from(table.sectors.get(sectorAt)!)
  const entry = sector.subarray(entryAt - sectorAt, entryAt - sectorAt + 16)
  const start = base / sectorSize + entry.readUInt32LE(8)
  const oldLast = start + entry.readUInt32LE(12) - 1
  const newLast = end / sectorSize - 1
  if (newLast <= oldLast) return
  entry.writeUInt32LE(newLast - start + 1, 12)
  movedChs(entry.subarray(5, 8), oldLast, newLast).copy(entry, 5)
  changed.set(sectorAt, sector)
}
