/** What has to be seen before anything is mounted. */
import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import { assertEditable } from '../ext/check.ts'
import { readSuperblock } from '../ext/superblock.ts'
import { partitionName } from '../partition-edit.ts'
import { withWindow } from '../window.ts'
import { mountsBelow } from './mount-info.ts'
import type { Plan } from './plan.ts'

/** What is at our places now: no mount of others, nothing but folders, and files only with a word about them. */
export async function refuseForeign(
  folder: string,
  { attachment, mounts }: Plan,
  warn: (line: string) => void,
): Promise<void> {
  const present = await mountsBelow(folder)
  for (const { target } of mounts) {
    if (present.some(({ place }) => place === target)) {
      throw new FleetsieError('E_UNSAFE', `something is mounted at ${target} already`, {
        file: folder,
        hint: `if nobody needs it: umount ${target}`,
      })
    }
    if (await isFolder(join(folder, target))) {
      if ((await readdir(join(folder, target))).length === 0) continue
      warn(`${target} holds files, which are hidden while the image is mounted: they are in no image`)
    }
  }
  for (const { upper } of attachment.parts) await isFolder(join(folder, upper))
}

/** False: nothing is there. Fails with E_UNSAFE for a file or a link: what is written or mounted there would be elsewhere. */
export async function isFolder(path: string): Promise<boolean> {
  const stats = await lstat(path).catch(() => undefined)
  if (stats && !stats.isDirectory()) {
    throw new FleetsieError('E_UNSAFE', 'a file or a link is where a folder has to be', {
      file: path,
      hint: 'move it away',
    })
  }
  return stats !== undefined
}

/** What the mount shows, and no stage takes: better heard before the work than after it. */
export async function warnOfDamage(
  disk: string,
  { partitions }: Plan,
  warn: (line: string) => void,
): Promise<void> {
  for (const partition of partitions) {
    if (partition.filesystem === 'vfat') continue
    try {
      await withWindow(disk, partition, 'r', (window) =>
        assertEditable(readSuperblock(window), partitionName(partition), partition.offset),
      )
    } catch (error) {
      if (!(error instanceof FleetsieError)) throw error
      warn(`${error.message}; \`save\` and \`build\` will refuse it${error.hint ? ` (${error.hint})` : ''}`)
    }
  }
}
