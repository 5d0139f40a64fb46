/**
 * Places of a card in which whoever mounts or writes it leaves a trace. No content of files is among them: a digest of
 * them tells no password. Of what no trace is known, everything is a witness.
 */
import { isExtendedType } from '../../formats/mbr.ts'
import { type ByteRange, rangesOnDisk } from '../byte-ranges.ts'
import { ExtReader } from '../ext/reader.ts'
import { compat, incompat } from '../ext/superblock.ts'
import { FatReader } from '../fat/reader.ts'
import type { PartitionInfo, PartitionTable } from '../partition-table.ts'
import { type Window, withWindow } from '../window.ts'
import { areaOf } from './compare-places.ts'
import type { Area, DiskImage } from './types.ts'

export interface WitnessPlaces {
  /** In words. */
  what: string
  /** Of the image; each lies in one area. */
  places: ByteRange[]
}

/** Of the areas as the image was written there. Filesystems are read from the card: the device's own values may be on it. */
export async function witnessPlaces(
  areas: readonly Area[],
  { table, mapped }: Pick<DiskImage, 'table' | 'mapped'>,
): Promise<WitnessPlaces[]> {
  const found: WitnessPlaces[] = []
  let rest = areas.flatMap(({ image }) => within(mapped, image))
  for (const partition of filesystemsOf(table)) {
    const area = areaOf(areas, partition.offset, partition.size)
    const places = area && (await placesOf(area, partition))
    if (!places) continue
    found.push({ what: `${nameOf(partition)} of part_${partition.number}`, places })
    rest = without(rest, partition)
  }
  if (rest.length > 0) found.unshift({ what: 'what lies outside of ext and FAT filesystems', places: rest })
  return found
}

function filesystemsOf({ table, partitions }: PartitionTable): PartitionInfo[] {
  return partitions.filter(({ type }) => table === 'gpt' || !isExtendedType(Number.parseInt(type, 16)))
}

function nameOf({ filesystem }: PartitionInfo): string {
  return filesystem === 'vfat' ? 'the FAT or a folder' : 'the superblock or journal'
}

/** Undefined for a filesystem that is not known, or is damaged: all of it is a witness then. */
async function placesOf(
  { image, target }: Area,
  { offset, size, filesystem }: PartitionInfo,
): Promise<ByteRange[] | undefined> {
  const places = { ext2: extPlaces, ext3: extPlaces, ext4: extPlaces, vfat: fatPlaces }[filesystem ?? '']
  if (!places) return undefined
  try {
    const place = { offset: offset - image.offset, size }
    return await withWindow(target.path, place, 'r', (window) => rangesOnDisk(places(window), offset))
  } catch {
    return undefined
  }
}

/**
 * A mount for writing changes the superblock (count, time, state) and, with the first write, the journal's. Descriptors
 * hold counts and sums of the bitmaps.
 */
function* extPlaces(window: Window): Generator<[number, number]> {
  const reader = new ExtReader(window)
  const { blockSize, descriptorSize, firstDataBlock, groups, raw, ...superblock } = reader.superblock
  const all = Math.ceil(groups / Math.floor(blockSize / descriptorSize))
  const plain = superblock.incompat & incompat.metaBg ? Math.min(all, raw.readUInt32LE(0x104)) : all
  yield [0, (firstDataBlock + 1 + plain) * blockSize]
  if (!(superblock.compat & compat.hasJournal)) return
  for (const { physical } of reader.runs(reader.inode(raw.readUInt32LE(0xe0)))) {
    yield [physical * blockSize, blockSize]
    return
  }
}

/** A clean unmount takes the dirty bit away, and an edit of the same length changes an entry of a folder only. */
function* fatPlaces(window: Window): Generator<[number, number]> {
  const reader = new FatReader(window)
  yield [0, reader.geometry.dataAt]
  const seen = new Set<number>()
  const folders = [reader.rootId]
  for (let id = folders.pop(); id !== undefined; id = folders.pop()) {
    seen.add(id)
    yield* reader.folderPlaces(id)
    for (const child of reader.list(id).values()) {
      if (!seen.has(child) && reader.node(child).type === 'directory') folders.push(child)
    }
  }
}

function within(ranges: readonly ByteRange[], bounds: ByteRange): ByteRange[] {
  return ranges.flatMap(({ offset, length }) => {
    const start = Math.max(offset, bounds.offset)
    const end = Math.min(offset + length, bounds.offset + bounds.length)
    return end > start ? [{ offset: start, length: end - start }] : []
  })
}

function without(ranges: readonly ByteRange[], { offset, size }: PartitionInfo): ByteRange[] {
  const before = within(ranges, { offset: 0, length: offset })
  const after = within(ranges, { offset: offset + size, length: Number.MAX_SAFE_INTEGER - offset - size })
  return [...before, ...after]
}
