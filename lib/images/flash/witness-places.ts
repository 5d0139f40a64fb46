/**
 * Places of a card in which whoever mounts or writes it leaves a trace. Of what no trace is known, everything is a witness.
 * Nothing is that a device's own values were written to but the filesystem's own records: a digest tells no password.
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

const maxSmallFile = 64 * 1024

/** Bytes from the partition's start. */
type Place = [at: number, length: number, kind: 'record' | 'file']

export interface WitnessPlaces {
  /** In words. */
  what: string
  /** Of the image; each lies in one area. */
  places: ByteRange[]
}

/**
 * Of the areas as the image was written there. Filesystems are read from the card: the device's own values may be on it,
 * written to the ranges `own` of the image.
 */
export async function witnessPlaces(
  areas: readonly Area[],
  { table, mapped }: Pick<DiskImage, 'table' | 'mapped'>,
  own: readonly ByteRange[],
): Promise<WitnessPlaces[]> {
  const found: WitnessPlaces[] = []
  let rest = areas.flatMap(({ image }) => within(mapped, image))
  for (const partition of filesystemsOf(table)) {
    const area = areaOf(areas, partition.offset, partition.size)
    const places = area && (await placesOf(area, partition))
    if (!places) continue
    const { number, offset, size } = partition
    found.push({ what: `${nameOf(partition)} of part_${number}`, places: places.records })
    found.push({ what: `a small file of part_${number}`, places: without(places.files, own) })
    rest = without(rest, [{ offset, length: size }])
  }
  rest = without(rest, own)
  if (rest.length > 0) found.unshift({ what: 'what lies outside of ext and FAT filesystems', places: rest })
  return found.filter(({ places }) => places.length > 0)
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
): Promise<{ records: ByteRange[]; files: ByteRange[] } | undefined> {
  const places = { ext2: extPlaces, ext3: extPlaces, ext4: extPlaces, vfat: fatPlaces }[filesystem ?? '']
  if (!places) return undefined
  try {
    return await withWindow(target.path, { offset: offset - image.offset, size }, 'r', (window) => {
      const found = [...places(window)]
      const of = (kind: Place[2]) =>
        found.flatMap(([at, length, its]) => (its === kind ? [[at, length] as const] : []))
      return { records: rangesOnDisk(of('record'), offset), files: rangesOnDisk(of('file'), offset) }
    })
  } catch {
    return undefined
  }
}

/**
 * A mount for writing changes the superblock (count, time, state) and, with the first write, the journal's. Descriptors
 * hold counts and sums of the bitmaps.
 */
function* extPlaces(window: Window): Generator<Place> {
  const reader = new ExtReader(window)
  const { blockSize, descriptorSize, firstDataBlock, groups, raw, ...superblock } = reader.superblock
  const all = Math.ceil(groups / Math.floor(blockSize / descriptorSize))
  const plain = superblock.incompat & incompat.metaBg ? Math.min(all, raw.readUInt32LE(0x104)) : all
  yield [0, (firstDataBlock + 1 + plain) * blockSize, 'record']
  if (!(superblock.compat & compat.hasJournal)) return
  for (const { physical } of reader.runs(reader.inode(raw.readUInt32LE(0xe0)))) {
    yield [physical * blockSize, blockSize, 'record']
    return
  }
}

/**
 * A clean unmount takes the dirty bit away, and an edit of the same length changes an entry of a folder only: within two
 * seconds, or by a program that keeps the time, not even that. What people edit on a desktop is small.
 */
function* fatPlaces(window: Window): Generator<Place> {
  const reader = new FatReader(window)
  const { dataAt, clusterSize } = reader.geometry
  yield [0, dataAt, 'record']
  const seen = new Set<number>()
  const folders = [reader.rootId]
  for (let id = folders.pop(); id !== undefined; id = folders.pop()) {
    seen.add(id)
    for (const [at, length] of reader.folderPlaces(id)) yield [at, length, 'record']
    for (const child of reader.list(id).values()) {
      const { type, size } = reader.node(child)
      if (type === 'directory' && !seen.has(child)) folders.push(child)
      if (type !== 'file' || size === 0 || size > maxSmallFile) continue
      for (const [cluster, count] of reader.table.chain(reader.fatNode(child).entry.cluster))
        yield [reader.position(cluster), count * clusterSize, 'file']
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

function without(ranges: readonly ByteRange[], taken: readonly ByteRange[]): ByteRange[] {
  let left = [...ranges]
  for (const { offset, length } of taken) {
    const end = offset + length
    const before = within(left, { offset: 0, length: offset })
    const after = within(left, { offset: end, length: Number.MAX_SAFE_INTEGER - end })
    left = [...before, ...after]
  }
  return left
}
