/** Which part of an image goes to which device. */
import { FleetsieError } from '../../errors.ts'
import { isExtendedType } from '../../formats/mbr.ts'
import type { ByteRange } from '../byte-ranges.ts'
import type { Area, DiskImage, Target } from '../flash/types.ts'
import type { PartitionInfo, PartitionTable } from '../partition-table.ts'

/** Those that hold something themselves: DEVPART1, DEVPART2, … in the order of the command line. */
export function writablePartitions(table: PartitionTable): PartitionInfo[] {
  const isContainer = (type: string): boolean =>
    table.table === 'mbr' && isExtendedType(Number.parseInt(type, 16))
  return table.partitions.filter(({ type }) => !isContainer(type))
}

/** Fails with E_USAGE when there are fewer or more names than the image has partitions. */
export function expectCount(names: readonly string[], image: Pick<DiskImage, 'name' | 'table'>): void {
  const parts = writablePartitions(image.table)
  if (names.length < parts.length) {
    throw new FleetsieError('E_USAGE', `not enough device partitions given: missing #${names.length + 1}`, {
      hint: `${image.name} has ${parts.length}: ${parts.map(described).join('; ')}`,
    })
  }
  if (names.length > parts.length) {
    throw new FleetsieError(
      'E_USAGE',
      `too many device partitions given: ${image.name} has ${parts.length}, and ${names.length} are named`,
      { hint: 'one card at a time; --whole writes several' },
    )
  }
}

function described({ filesystem, label }: PartitionInfo, index: number): string {
  return `#${index + 1} ${filesystem ?? 'of no known filesystem'}${label === null ? '' : ` ${label}`}`
}

/** The whole image onto one device. Fails with E_UNSAFE when that is too small. */
export function wholeArea(image: DiskImage, target: Target, name: string): Area[] {
  if (target.size < image.size) throw tooSmall(name, target.size, image.name, image.size)
  return [{ image: { offset: 0, length: image.size }, target }]
}

/** Partition i onto target i. Where that is smaller, the filesystem alone has to fit: E_UNSAFE otherwise. */
export async function partitionAreas(
  image: DiskImage,
  targets: readonly { name: string; target: Target }[],
  signal: AbortSignal,
): Promise<Area[]> {
  const areas: Area[] = []
  for (const [index, partition] of writablePartitions(image.table).entries()) {
    const { name, target } = targets[index]!
    let length = partition.size
    if (target.size < length) {
      length = await filesystemSize(image, partition, signal)
      if (target.size < length) {
        const what = `the filesystem of partition ${partition.number}`
        throw tooSmall(name, target.size, what, length)
      }
    }
    areas.push({ image: { offset: partition.offset, length }, target })
  }
  return areas
}

function tooSmall(name: string, size: number, what: string, needed: number): FleetsieError {
  return new FleetsieError(
    'E_UNSAFE',
    `${name} is too small: it has ${size} bytes, and ${what} needs ${needed}`,
    { hint: 'use a larger card, or a smaller image' },
  )
}

/** Bytes that the filesystem says it takes; all of the partition where it says nothing. */
async function filesystemSize(
  image: DiskImage,
  { filesystem, offset, size }: PartitionInfo,
  signal: AbortSignal,
): Promise<number> {
  if (filesystem === null || size < 4096) return size
  const head = await bytesOf(image, { offset, length: 4096 }, signal)
  if (filesystem.startsWith('ext')) return Math.min(size, extSize(head.subarray(1024)))
  return filesystem === 'vfat' ? Math.min(size, fatSize(head)) : size
}

/** struct ext4_super_block: s_log_block_size, s_blocks_count_lo and, with the feature 64bit, s_blocks_count_hi. */
function extSize(superblock: Buffer): number {
  const wide = (superblock.readUInt32LE(0x60) & 0x80) !== 0
  const blocks = superblock.readUInt32LE(4) + (wide ? superblock.readUInt32LE(0x150) * 2 ** 32 : 0)
  return blocks * 2 ** (10 + Math.min(superblock.readUInt32LE(0x18), 6))
}

/** BPB_BytsPerSec, BPB_TotSec16 and, where that is 0, BPB_TotSec32. */
function fatSize(sector: Buffer): number {
  return sector.readUInt16LE(11) * (sector.readUInt16LE(19) || sector.readUInt32LE(32))
}

/** A few bytes of an image. */
async function bytesOf(image: DiskImage, range: ByteRange, signal: AbortSignal): Promise<Buffer> {
  const bytes = Buffer.alloc(range.length)
  for await (const part of image.read([range], signal)) part.bytes.copy(bytes, part.at - range.offset)
  return bytes
}
