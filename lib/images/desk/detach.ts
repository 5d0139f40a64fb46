/** `unmount`: takes the mounts of a desk away, and what a crash or a reboot left of them. */

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Run } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import { recordName } from './attachment.ts'
import { mountsBelow } from './mount-info.ts'
import { deskState } from './state.ts'
import { undo } from './undo.ts'

export interface DetachRequest {
  folder: string
  run: Run
}

/**
 * Unmounts the merged views, then the originals; what was changed stays in `.new_N`. Within withDeskLock.
 * Fails with E_INPUT when nothing is mounted, with E_RIGHTS when somebody else mounted it, with E_UNSAFE while files are
 * in use: then the message names the processes, and nothing is forced.
 */
export async function detachDesk({ folder, run }: DetachRequest): Promise<void> {
  const state = await deskState(folder)
  if (state.is === 'unmounted') throw new FleetsieError('E_INPUT', 'image is not mounted', { file: folder })
  const { record } = state
  if (record === undefined) return removeDamagedRecord(folder)
  const uid = process.geteuid?.() ?? -1
  if (uid !== 0 && (record.form === 'kernel' || uid !== record.uid)) {
    throw new FleetsieError('E_RIGHTS', `user ${record.uid} has mounted the image, this is user ${uid}`, {
      file: folder,
      hint: 'run this with sudo',
    })
  }
  await undo(folder, record, run)
}

/** Whose the mounts are cannot be told any more: only when there are none. */
async function removeDamagedRecord(folder: string): Promise<void> {
  const file = join(folder, recordName)
  const mounts = await mountsBelow(folder)
  if (mounts.length > 0) {
    const commands = mounts.reverse().map(({ target }) => `umount '${target}'`)
    throw new FleetsieError(
      'E_DAMAGED',
      'the record of what is mounted is damaged, and something is mounted',
      {
        file,
        hint: `unmount by hand, then run this again: ${commands.join('; ')}`,
      },
    )
  }
  await rm(file)
}
