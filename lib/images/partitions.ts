/** What is on a disk image: its partition table, MBR or GPT, and the filesystem of each partition. */
import { FleetsieError } from '../errors.ts'
import { type GptTable, readGpt } from '../formats/gpt.ts'
import { isExtendedType, type MbrTable, protectiveEntry, readMbr } from '../formats/mbr.ts'
import { type ReadAt, sectorSize } from '../formats/random-access.ts'
import { withDisk } from './disk-file.ts'
import { identifyFilesystem } from './filesystems.ts'
import type { PartitionInfo, PartitionTable } from './partition-table.ts'
import { windowOf } from './reads.ts'
import type { Filesystem } from './superblocks/filesystem.ts'

export type { PartitionInfo, PartitionTable } from './partition-table.ts'
export { readTable, writeTable } from './partition-table.ts'

type Place = Omit<PartitionInfo, keyof Filesystem>

/** Reads the table, whichever it is. Fails with E_DAMAGED, naming the byte. */
export async function readDiskTable(read: ReadAt, size: number): Promise<MbrTable | GptTable> {
  const first = await read(0, sectorSize)
  // Without a protective entry a GPT is a leftover, for the kernel as well.
  return protectiveEntry(first) === undefined ? readMbr(read, size) : readGpt(read, size)
}

/**
 * Reads the partitions of the image at `diskPath`. `warn` hears what was wrong and could be done without: a damaged
 * GPT header, a partition that looks like two filesystems. Fails with E_DAMAGED, naming file and byte.
 */
export function readPartitionTable(
  diskPath: string,
  warn: (line: string) => void = () => {},
): Promise<PartitionTable> {
  return withDisk(diskPath, 'r', ({ read, size }) => readPartitions(read, size, warn))
}

/** As readPartitionTable, of a disk of `size` bytes that need not be a file. */
export async function readPartitions(
  read: ReadAt,
  size: number,
  warn: (line: string) => void = () => {},
): Promise<PartitionTable> {
  const table = await tableOrWhole(read, size)
  if (table.kind === 'gpt') table.warnings.forEach(warn)
  const partitions: PartitionInfo[] = []
  for (const place of table.kind === 'mbr' ? mbrPlaces(table) : gptPlaces(table)) {
    const found = isContainer(table, place)
      ? { filesystem: null, label: null, uuid: null }
      : await identifyFilesystem(windowOf(read, place.offset, place.size), (line) =>
          warn(`partition ${place.number} ${line}`),
        )
    partitions.push({ ...place, ...found })
  }
  return { format: 1, table: table.kind, sectorSize, diskId: table.diskId, size, partitions }
}

/** As readDiskTable; an image of a single filesystem is refused by what it is. */
async function tableOrWhole(read: ReadAt, size: number): Promise<MbrTable | GptTable> {
  let failure: unknown
  try {
    const table = await readDiskTable(read, size)
    if (table.partitions.length > 0) return table
    failure = new FleetsieError('E_DAMAGED', 'the partition table at byte 446 lists no partition')
  } catch (error) {
    failure = error
  }
  const whole = await identifyFilesystem(windowOf(read, 0, size))
  if (whole.filesystem === null) throw failure
  throw new FleetsieError(
    'E_DAMAGED',
    `no partition table: the image is one ${whole.filesystem} filesystem from byte 0 on`,
    {
      hint: 'an image of a whole disk is needed, with an MBR or a GPT',
      cause: failure,
    },
  )
}

function mbrPlaces(table: MbrTable): Place[] {
  return table.partitions.map(({ number, offset, size, type, bootable }) => ({
    number,
    offset,
    size,
    type: type.toString(16).padStart(2, '0'),
    bootable,
    partuuid: `${table.diskId}-${number.toString(16).padStart(2, '0')}`,
  }))
}

function gptPlaces(table: GptTable): Place[] {
  return table.partitions.map(({ number, offset, size, type, bootable, name, id }) => ({
    number,
    offset,
    size,
    type,
    bootable,
    name,
    partuuid: id,
  }))
}

/** An extended partition holds others, whatever its first bytes look like. */
function isContainer(table: MbrTable | GptTable, place: Place): boolean {
  return table.kind === 'mbr' && isExtendedType(Number.parseInt(place.type, 16))
}
