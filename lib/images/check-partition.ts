/** Whether the filesystem of a partition is sound: its own checker judges. */
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { ApplyOptions } from './apply-options.ts'
import { assertEditable, fsckExt, mendHint } from './ext/check.ts'
import { linkedDevice } from './ext/device.ts'
import { readSuperblock } from './ext/superblock.ts'
import { fsckFat, mendFatHint } from './fat/check.ts'
import { FatReader } from './fat/reader.ts'
import { partitionName } from './partition-edit.ts'
import { withWindow } from './window.ts'

export type CheckRequest = Pick<ApplyOptions, 'run' | 'disk' | 'partition' | 'tmp'>

/**
 * Fails with E_DAMAGED when a partition that is to be edited is not sound; with E_STAGE when one that was just edited is
 * not. Of filesystems that cannot be edited it says nothing. Writes nothing to the disk.
 */
export async function checkPartition(request: CheckRequest, when: 'before' | 'edited'): Promise<void> {
  const { run, disk, partition } = request
  const what = partitionName(partition)
  const fault = (hint: (place: typeof partition) => string) =>
    when === 'before'
      ? { code: 'E_DAMAGED' as const, what, hint: hint(partition) }
      : { code: 'E_STAGE' as const, what: `${what}, just edited,` }
  const tmp = await mkdtemp(join(request.tmp, 'check-'))
  try {
    await withWindow(disk, partition, 'r', async (window) => {
      switch (partition.filesystem) {
        case 'ext2':
        case 'ext3':
        case 'ext4': {
          const superblock = readSuperblock(window)
          if (when === 'before') assertEditable(superblock, what, partition.offset)
          const device = await linkedDevice(disk, partition.offset, tmp)
          await fsckExt(
            run,
            device,
            tmp,
            superblock,
            fault(({ offset }) => mendHint(offset)),
          )
          return
        }
        case 'vfat':
          await fsckFat(run, window, new FatReader(window), tmp, fault(mendFatHint))
      }
    })
  } finally {
    await rm(tmp, { recursive: true, force: true })
  }
}
