/** Applies layers to one partition of a raw disk image in place: no mount, no root. */
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { FleetsieError } from '../errors.ts'
import type { ApplyOptions } from './apply-options.ts'
import { type ByteRange, rangesOnDisk } from './byte-ranges.ts'
import { applyExt } from './ext/apply.ts'
import { applyFat } from './fat/apply.ts'
import { partitionName } from './partition-edit.ts'

/**
 * Edits the partition so that it holds what the layers say. The same image and layers give the same bytes.
 * Answers with the ranges that may have changed, in order and apart: all else is as it was, and need not be compared.
 * Fails with E_UNSUPPORTED (a filesystem that cannot be edited), E_DAMAGED (it was not sound before),
 * E_INPUT (it cannot hold what a layer has), E_TOO_SMALL, E_STAGE (a tool failed or did not do what it was told).
 */
export async function applyLayers(options: ApplyOptions): Promise<ByteRange[]> {
  const { partition } = options
  if (!Number.isSafeInteger(options.epoch) || options.epoch < 0) {
    throw new FleetsieError('E_INPUT', `${options.epoch} is no time: whole seconds since 1970 are needed`)
  }
  const tmp = await mkdtemp(join(options.tmp, 'apply-'))
  try {
    switch (partition.filesystem) {
      case 'ext2':
      case 'ext3':
      case 'ext4':
        return rangesOnDisk(await applyExt(options, tmp), partition.offset)
      case 'vfat':
        return rangesOnDisk(await applyFat(options, tmp), partition.offset)
      default:
        throw new FleetsieError(
          'E_UNSUPPORTED',
          `${partitionName(partition)} holds ${partition.filesystem ?? 'no known filesystem'}; layers can be applied to ext2, ext3, ext4 and FAT`,
        )
    }
  } finally {
    await rm(tmp, { recursive: true, force: true })
  }
}
