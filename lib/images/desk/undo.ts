/** Takes away what attachDesk made, all of it or what a crash left of it. */
import { lstat, readdir, realpath, rm, rmdir, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Run } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import { sync } from '../replace-file.ts'
import { type DeskRecord, recordName } from './attachment.ts'
import { refuseElsewhere } from './elsewhere.ts'
import { holdersOf } from './holders.ts'
import { removeLinks } from './labels.ts'
import { mountsBelow } from './mount-info.ts'
import { tokenVariable, unmount } from './mount-programs.ts'
import { copyPlace, imageLink, mergedLink, workPlace } from './places.ts'
import { listProcesses, livingGroup, startedWith, waitUntil, workingFolder } from './processes.ts'
import { bootId, type Standing, standingMounts } from './state.ts'

const patience = 5_000

/**
 * Unmounts, the last made first, then removes the record. The upper folders stay. Fails with E_UNSAFE while something is
 * in use, before the first unmount if it can be seen by then; then the next call goes on.
 */
export async function undo(folder: string, record: DeskRecord, run: Run): Promise<void> {
  const real = await realpath(folder)
  if (record.boot === (await bootId())) {
    await endOrphans(real, record)
    const standing = await standingMounts(real, record)
    if (standing.length === 0) await refuseElsewhere(real, record)
    await refuseWhileBusy(real, standing)
    for (const one of standing.reverse()) await unmountOne(real, one, record, run)
  }
  await removeRemains(real, record)
}

/** Mount programs that outlived the process that had started them: they must not mount after we looked. */
async function endOrphans(real: string, { token }: DeskRecord): Promise<void> {
  const groups = new Set<number>()
  for (const pid of await listProcesses()) {
    // A daemon that serves a mount has left the folder; a copy of the folder has the same token.
    if ((await workingFolder(pid)) !== real || !(await startedWith(pid, tokenVariable, token))) continue
    const group = await livingGroup(pid)
    if (group !== undefined) groups.add(group)
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It has ended by itself.
    }
  }
  if (groups.size === 0) return
  // fusermount3 is setuid: it cannot be ended by a user, only waited for.
  await waitUntil(async () => {
    for (const pid of await listProcesses()) {
      const group = await livingGroup(pid)
      if (group !== undefined && groups.has(group)) return false
    }
    return true
  }, patience)
}

async function refuseWhileBusy(real: string, standing: readonly Standing[]): Promise<void> {
  const mounts = await mountsBelow(real)
  const nested = mounts.filter(({ place }) =>
    standing.some(({ mount }) => place.startsWith(`${mount.target}/`)),
  )
  if (nested.length > 0) {
    throw new FleetsieError(
      'E_UNSAFE',
      `something is mounted inside: ${nested.map(({ place }) => place).join(', ')}`,
      {
        file: real,
        hint: 'unmount it first',
      },
    )
  }
  const holders = standing.length > 0 ? await holdersOf(real) : []
  if (holders.length > 0) throw busy(real, holders)
}

function busy(real: string, holders: Awaited<ReturnType<typeof holdersOf>>): FleetsieError {
  const lines = holders.map(({ pid, command, path }) => `  ${pid} ${command}: ${path}`)
  return new FleetsieError('E_UNSAFE', ['files of the mounted image are in use by', ...lines].join('\n'), {
    file: real,
    hint: 'end these processes, or have them leave the folder, then run this again',
  })
}

async function unmountOne(
  real: string,
  { mount, target, daemon }: Standing,
  record: DeskRecord,
  run: Run,
): Promise<void> {
  try {
    await unmount(target, record.form, run)
  } catch (error) {
    if (!(error instanceof FleetsieError) || !/busy/i.test(error.message)) throw error
    const holders = await holdersOf(real)
    if (holders.length > 0) throw busy(real, holders)
    throw new FleetsieError('E_UNSAFE', `${mount.target} is in use, by nobody that this user may look at`, {
      hint: `\`sudo fuser -vm ${mount.target}\` names them`,
      cause: error,
    })
  }
  if (daemon === undefined) return
  // It has the lower mount open until it has ended, and may still be writing to the upper folder.
  const gone = async (): Promise<boolean> => (await livingGroup(daemon)) === undefined
  if (await waitUntil(gone, patience)) return
  if (await startedWith(daemon, tokenVariable, record.token)) process.kill(daemon, 'SIGTERM')
  await waitUntil(gone, patience)
}

async function removeRemains(real: string, record: DeskRecord): Promise<void> {
  for (const { number } of record.parts) {
    for (const place of [workPlace(number), copyPlace(number)]) {
      await rm(join(real, place), { recursive: true, force: true })
    }
    const link = join(real, mergedLink(number))
    if ((await lstat(link).catch(() => undefined))?.isSymbolicLink()) await unlink(link)
  }
  await removeLinks(real, record.links)
  // An empty part_N would take edits that nobody finds again.
  const folders = record.mounts.map(({ target }) => join(real, target))
  for (const folder of new Set([...folders, ...folders.map(dirname), join(real, 'merged')])) {
    if (folder !== real) await removeEmpty(folder)
  }
  await rm(join(real, imageLink), { force: true })
  await rm(join(real, recordName), { force: true })
  await sync(real)
}

async function removeEmpty(folder: string): Promise<void> {
  const inside = await readdir(folder).catch(() => undefined)
  // Busy: somebody else has mounted something there.
  if (inside?.length === 0) await rmdir(folder).catch(() => {})
}
