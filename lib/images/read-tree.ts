/** Reads files of a partition without a mount; symlinks are followed inside the image. */
import { FleetsieError } from '../errors.ts'
import { ExtReader } from './ext/reader.ts'
import { FatReader } from './fat/reader.ts'
import { type EditablePartition, partitionName } from './partition-edit.ts'
import { type MergedNode, MergedTree } from './tree/merged.ts'
import { toBytes, type Volume } from './volume.ts'
import { type Window, withWindow } from './window.ts'

/** Where to read: the disk image and one of its partitions. */
export interface TreePlace {
  disk: string
  partition: EditablePartition
}

const defaultLimit = 64 * 1024 * 1024

/** Fails with E_UNSUPPORTED for a filesystem that this program cannot read. */
export function openVolume(window: Window, partition: EditablePartition): Volume {
  switch (partition.filesystem) {
    case 'ext2':
    case 'ext3':
    case 'ext4':
      return new ExtReader(window)
    case 'vfat':
      return new FatReader(window)
    default:
      throw new FleetsieError(
        'E_UNSUPPORTED',
        `${partitionName(partition)} holds ${partition.filesystem ?? 'no known filesystem'}; files can be read from ext2, ext3, ext4 and FAT`,
      )
  }
}

/** The content of the file at `path`, at most `limit` bytes (64 MiB). Fails with E_INPUT if it is not there, no file, or larger. */
export function readFile(place: TreePlace, path: string, limit = defaultLimit): Promise<Buffer> {
  return withNode(place, path, (volume, node) => {
    const id = node?.origin
    if (id === undefined) throw absent(place, path)
    const { type, size } = volume.node(id)
    if (type !== 'file') throw refused(place, path, `is a ${type}, not a file`)
    if (size > limit) throw refused(place, path, `has ${size} bytes; the limit is ${limit}`)
    const whole = Buffer.alloc(size)
    for (const { at, bytes } of volume.pieces(id)) bytes.copy(whole, at)
    return whole
  })
}

/** Whether `path` leads to something; a link that leads nowhere does not. */
export function exists(place: TreePlace, path: string): Promise<boolean> {
  return withNode(place, path, (_volume, node) => node !== undefined)
}

function withNode<T>(
  place: TreePlace,
  path: string,
  work: (volume: Volume, node: MergedNode | undefined) => T,
): Promise<T> {
  return withWindow(place.disk, place.partition, 'r', (window) => {
    const volume = openVolume(window, place.partition)
    return work(volume, new MergedTree(volume).resolve(toBytes(path), 'nothing'))
  })
}

function refused({ partition }: TreePlace, path: string, why: string): FleetsieError {
  return new FleetsieError('E_INPUT', `${path} in ${partitionName(partition)} ${why}`)
}

function absent(place: TreePlace, path: string): FleetsieError {
  return refused(place, path, 'does not exist')
}
