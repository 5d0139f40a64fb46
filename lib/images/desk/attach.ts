/** `mount`: an image's partitions read-only, and a writable view over each. */
import { randomBytes } from 'node:crypto'
import { chmod, chown, lstat, mkdir, readdir, realpath, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { type Run, runner } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import { type Caller, callerOf } from '../caller.ts'
import type { PartitionTable } from '../partition-table.ts'
import { makeFolder, replaceWithBytes, sweepParts } from '../replace-file.ts'
import { type Attachment, type DeskRecord, readRecord, recordName } from './attachment.ts'
import { copyFat } from './fat-copy.ts'
import { chooseForm } from './form.ts'
import { labelLinks, makeLinks, replaceLink } from './labels.ts'
import { mountsBelow } from './mount-info.ts'
import { makeMount } from './mount-programs.ts'
import {
  copyPlace,
  imageLink,
  mergedLink,
  mergedPlace,
  originalPlace,
  privateFolder,
  upperPlace,
  workPlace,
} from './places.ts'
import { type Plan, planMounts } from './plan.ts'
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
  const caller = callerOf(process.env)
  const record: DeskRecord = {
    format: 1,
    ...plan.attachment,
    token: randomBytes(8).toString('hex'),
    uid: process.geteuid!(),
    boot: await bootId(),
    disk: await identity(disk, folder),
    mounts: plan.mounts,
    links: await labelLinks(folder, plan.partitions, note),
  }
  await sweepParts(folder)
  const bytes = Buffer.from(`${JSON.stringify(record, null, 2)}\n`)
  await replaceWithBytes(join(folder, recordName), bytes, { mode: 0o644, caller })
  try {
    await prepare(folder, disk, plan, caller, request.signal)
    await makeLinks(folder, record.links)
    for (const mount of record.mounts) {
      if (mount.target.startsWith('part_')) await makeUpper(folder, Number(mount.target.slice(5)))
      await makeMount({ folder, record, run }, mount)
    }
  } catch (error) {
    // Not `run`: a signal that ended it must not keep us from unmounting.
    await undo(folder, record, runner({ home: folder }))
    throw error
  }
  if (plan.attachment.form === 'fuse' && record.uid !== 0) {
    note(
      'mounted without root: all files in part_N are shown as yours; declare owners and devices in part_N.mtree',
    )
  }
  return plan.attachment
}

async function identity(disk: string, folder: string): Promise<DeskRecord['disk']> {
  const { dev, ino } = await stat(disk)
  return { path: relative(folder, disk), device: dev, inode: ino }
}

/** What is at the mount points now: no mount of others, nothing but folders, and files only with a word about them. */
async function refuseForeign(folder: string, { mounts }: Plan, warn: (line: string) => void): Promise<void> {
  const present = await mountsBelow(folder)
  for (const { target } of mounts) {
    if (present.some(({ place }) => place === target)) {
      throw new FleetsieError('E_UNSAFE', `something is mounted at ${target} already`, {
        file: folder,
        hint: `if nobody needs it: umount ${target}`,
      })
    }
    const stats = await lstat(join(folder, target)).catch(() => undefined)
    if (stats && !stats.isDirectory()) {
      throw new FleetsieError('E_INPUT', 'a file or a link is where a folder has to be', {
        file: join(folder, target),
        hint: 'move it away',
      })
    }
    if (stats && (await readdir(join(folder, target))).length > 0) {
      warn(`${target} holds files, which are hidden while the image is mounted: they are in no image`)
    }
  }
}

async function prepare(
  folder: string,
  disk: string,
  { partitions, mounts }: Plan,
  caller: Caller | undefined,
  signal: AbortSignal,
): Promise<void> {
  const make = (place: string): Promise<void> => makeFolder(join(folder, place), 0o755, caller)
  await make(privateFolder)
  await make('merged')
  await replaceLink(join(folder, imageLink), relative(join(folder, privateFolder), disk))
  for (const { target } of mounts) await make(target)
  for (const partition of partitions) {
    const { number } = partition
    await make(workPlace(number))
    await replaceLink(join(folder, mergedLink(number)), `../${mergedPlace(number)}`)
    if (partition.filesystem === 'vfat')
      await copyFat(disk, partition, join(folder, copyPlace(number)), signal)
  }
}

/** A new upper folder is what the partition's top folder is: its owner and mode are what the merged view shows. */
async function makeUpper(folder: string, number: number): Promise<void> {
  const upper = join(folder, upperPlace(number))
  const present = await lstat(upper).catch(() => undefined)
  if (present?.isDirectory()) return
  await mkdir(upper)
  const { mode, uid, gid } = await stat(join(folder, originalPlace(number)))
  await chmod(upper, mode & 0o7777)
  if (process.geteuid!() === 0) await chown(upper, uid, gid)
}
