/** Makes the last partition of a disk image larger, with the filesystem in it, without mount or root. */
import { mkdtemp, open, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Run } from '../engine/process.ts'
import { FleetsieError } from '../errors.ts'
import { allocatedRanges } from './allocation.ts'
import type { ByteRange } from './byte-ranges.ts'
import { assertEditable, fsckExt, mendHint } from './ext/check.ts'
import { linkedDevice } from './ext/device.ts'
import { readSuperblock, type Superblock, settleSuperblock } from './ext/superblock.ts'
import { growTableEntry } from './grow-table-entry.ts'
import { type EditablePartition, partitionName } from './partition-edit.ts'
import { withWindow } from './window.ts'

const copyBytes = 64 * 1024

export interface GrowOptions {
  run: Run
  /** A writable raw disk image. When this fails after the checks, it is ruined: throw it away. */
  disk: string
  /** The last of the disk, with ext2, ext3 or ext4. */
  partition: EditablePartition
  /** Bytes that the partition gets in all, a multiple of 4,096; not fewer than it has. */
  size: number
  /** Bytes that the image has at least afterwards. Without it, it ends behind the partition. */
  diskSize?: number
  /** Seconds since 1970, for the superblock. */
  epoch: number
  tmp: string
}

/**
 * The image's file, the partition's entry and the filesystem grow; ids, labels and the content stay. Answers with the
 * new size of the image. The same image and size give the same bytes.
 * Fails with E_UNSUPPORTED (not ext), E_INPUT (a size that cannot be), E_DAMAGED (the filesystem is not sound).
 */
export async function growPartition(options: GrowOptions): Promise<number> {
  const { run, disk, partition, size, epoch } = options
  const what = partitionName(partition)
  if (!['ext2', 'ext3', 'ext4'].includes(partition.filesystem ?? '')) {
    const kind =
      partition.filesystem === 'vfat'
        ? 'FAT, which no tool grows in place'
        : (partition.filesystem ?? 'no known filesystem')
    throw new FleetsieError('E_UNSUPPORTED', `${what} holds ${kind}; only ext2, ext3 and ext4 can grow`)
  }
  if (!Number.isSafeInteger(size) || size % 4096 !== 0 || size < partition.size) {
    throw new FleetsieError(
      'E_INPUT',
      `${what} has ${partition.size} bytes and cannot become ${size}: a larger multiple of 4096 is needed`,
    )
  }
  const tmp = await mkdtemp(join(options.tmp, 'grow-'))
  try {
    const device = await linkedDevice(disk, partition.offset, tmp)
    const before = await withWindow(disk, partition, 'r', (window) => readSuperblock(window))
    assertEditable(before, what, partition.offset)
    await fsckExt(run, device, tmp, before, { code: 'E_DAMAGED', what, hint: mendHint(partition.offset) })
    const diskSize = await growTableEntry(disk, partition.number, size, options.diskSize)
    await growFilesystem(options, before, tmp)
    const grown = await withWindow(disk, { ...partition, size }, 'r+', (window) => {
      settleSuperblock(window, before, epoch)
      return readSuperblock(window)
    })
    if (grown.blocks !== Math.floor(size / before.blockSize)) {
      throw new FleetsieError(
        'E_STAGE',
        `resize2fs made ${what} ${grown.blocks} blocks, not ${Math.floor(size / before.blockSize)}`,
      )
    }
    await fsckExt(run, device, tmp, grown, { code: 'E_STAGE', what: `${what}, just grown,` })
    return diskSize
  } finally {
    await rm(tmp, { recursive: true, force: true })
  }
}

/**
 * In a file of the partition alone: with an offset, resize2fs cuts a regular file off where a filesystem without
 * one would end.
 */
async function growFilesystem(options: GrowOptions, before: Superblock, tmp: string): Promise<void> {
  const { run, disk, partition, size, epoch } = options
  const blocks = Math.floor(size / before.blockSize)
  if (blocks === before.blocks) return
  const alone = join(tmp, 'partition')
  await writeFile(alone, '')
  await truncate(alone, size)
  const inFile = { ...partition, offset: 0, size }
  const onDisk = { ...partition, size }
  await copyRanges(disk, alone, await allocatedRanges(disk, partition), partition.offset, 0)
  // -f: e2fsck has just found it sound, which resize2fs would only believe of one that writes.
  await run('resize2fs', ['-f', 'partition', `${blocks}`], {
    cwd: tmp,
    env: { E2FSPROGS_FAKE_TIME: `${Math.max(epoch, 1)}` },
  })
  await copyRanges(alone, disk, await allocatedRanges(alone, inFile), inFile.offset, onDisk.offset)
}

/** Copies what differs, so that holes stay holes. */
async function copyRanges(
  from: string,
  to: string,
  ranges: readonly ByteRange[],
  fromStart: number,
  toStart: number,
): Promise<void> {
  const source = await open(from, 'r')
  const target = await open(to, 'r+')
  const bytes = Buffer.alloc(copyBytes)
  const there = Buffer.alloc(copyBytes)
  try {
    for (const { offset, length } of ranges) {
      for (let done = 0; done < length; ) {
        const want = Math.min(copyBytes, length - done)
        const { bytesRead } = await source.read(bytes, 0, want, offset + done)
        if (bytesRead === 0) throw new FleetsieError('E_DAMAGED', 'the disk image ends early', { file: from })
        const at = offset + done - fromStart + toStart
        const old = await target.read(there, 0, bytesRead, at)
        const same = old.bytesRead === bytesRead && bytes.compare(there, 0, bytesRead, 0, bytesRead) === 0
        if (!same) await target.write(bytes, 0, bytesRead, at)
        done += bytesRead
      }
    }
  } finally {
    await source.close()
    await target.close()
  }
}
