/** `mount`: an image's partitions read-only, and a writable view over each. */
import { randomBytes } from 'node:crypto'
import { realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Run, runner } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import { callerOf } from '../caller.ts'
import type { PartitionTable } from '../partition-table.ts'
import { replaceWithBytes } from '../replace-file.ts'
import { type Attachment, type DeskRecord, readRecord, recordName } from './attachment.ts'
import { refuseForeign, warnOfDamage } from './check-places.ts'
import { chooseForm } from './form.ts'
import { labelLinks, makeLinks } from './labels.ts'
import { makeMount } from './mount-programs.ts'
import { planMounts } from './plan.ts'
import { makeUpper, prepare } from './prepare.ts'
import { bootId } from './state.ts'
import { undo } from './undo.ts'

export interface AttachRequest {
  folder: string
  /** The image: a raw file. */
  disk: string
  table: PartitionTable
  run: Run
  note: (line: string) => void
  warn: (line: string) => void
  signal: AbortSignal
}

/**
 * Mounts each partition at original/part_N and, with the changes of `.new_N`, at part_N. Within withDeskLock.
 * A failure or a signal leaves nothing mounted. Fails with E_INPUT when it is mounted already or the folder's filesystem
 * cannot keep changes, with E_TOOL or E_RIGHTS when neither the kernel nor FUSE can be used.
 */
export async function attachDesk(request: AttachRequest): Promise<Attachment> {
  const { table, run, note, warn } = request
  const folder = await realpath(request.folder)
  const disk = await realpath(request.disk)
  if (await readRecord(folder))
    throw new FleetsieError('E_INPUT', 'image is already mounted', { file: folder })
  const plan = planMounts(table, await chooseForm(folder), warn)
  if (plan.mounts.length === 0) {
    throw new FleetsieError('E_INPUT', 'the image has no partition that can be mounted', { file: disk })
  }
  await refuseForeign(folder, plan, warn)
  await warnOfDamage(disk, plan, warn)
  const caller = callerOf(process.env)
  const { dev: device, ino: inode } = await stat(disk)
  const record: DeskRecord = {
    format: 1,
    ...plan.attachment,
    token: randomBytes(8).toString('hex'),
    uid: process.geteuid!(),
    boot: await bootId(),
    disk: { device, inode },
    mounts: plan.mounts,
    links: await labelLinks(folder, plan.partitions, note),
  }
  const bytes = Buffer.from(`${JSON.stringify(record, null, 2)}\n`)
  await replaceWithBytes(join(folder, recordName), bytes, { mode: 0o644, caller })
  try {
    await prepare(folder, disk, plan, caller, request.signal)
    await makeLinks(folder, record.links, caller)
    for (const mount of record.mounts) {
      if (mount.target.startsWith('part_')) await makeUpper(folder, Number(mount.target.slice(5)))
      await makeMount({ folder, record, run }, mount)
    }
  } catch (error) {
    // Not `run`: a signal that ended it must not keep us from unmounting.
    await undo(folder, record, runner({ home: folder })).catch((failure: Error) => warn(failure.message))
    throw error
  }
  if (plan.attachment.parts.some(({ owners }) => !owners)) {
    note(
      'mounted without root: all files in part_N are shown as yours; declare owners and devices in part_N.mtree',
    )
  }
  return plan.attachment
}
