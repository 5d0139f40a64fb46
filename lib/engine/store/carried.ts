/**
 * Folders that stages keep between their runs: carried/<id>/files, and beside it `whole` while nobody uses them.
 * Who begins takes `whole` away, who ends well puts it back: a folder without it is of somebody who failed or died.
 */
import { lstatSync, readdirSync, readFileSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { tracePoint } from '../trace.ts'
import { moveAside } from './evict.ts'
import { tryFileLock } from './file-lock.ts'
import { lockKey } from './key-locks.ts'
import type { Parts } from './parts.ts'
import { removeTree } from './remove.ts'
import { writing } from './writing.ts'

/** So many in one store: each may be as large as an image, and new code of a stage begins new ones. */
const mostCarried = 16
export const lockPrefix = 'carried-'

/** Whom others see holding it, whom this one waits for, and when to stop waiting. */
export interface Carrier {
  stage: string
  onWait: (holder: string) => void
  signal?: AbortSignal
}

/** Calls `use` with the folder of `id`, alone among all processes. See BuildContext.carry. */
export async function carry<T>(
  parts: Parts,
  id: string,
  { stage, onWait, signal }: Carrier,
  use: (folder: string) => Promise<T>,
): Promise<T> {
  const { layout } = parts
  const place = join(layout.carried, id)
  const lock = await lockKey(parts, lockPrefix + id, onWait, signal, stage)
  try {
    if (!takeWhole(place)) await writing(layout, () => begin(parts, place))
    tracePoint('carry.began')
    try {
      const result = await use(join(place, 'files'))
      tracePoint('carry.used')
      putWhole(parts, place)
      tracePoint('carry.ended')
      return result
    } catch (error) {
      // What cannot be removed now is not whole, so nobody goes on from it.
      await discard(parts, place).catch(() => {})
      throw error
    }
  } finally {
    lock.release()
  }
}

/** The names below carried/. */
export function carriedIds({ layout }: Parts): string[] {
  return namesIn(layout.carried)
}

/** Empty as well when the folder is gone, or is none: it may be of an older store that is only read. */
export function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES'].includes(String((error as NodeJS.ErrnoException).code))) return []
    throw error
  }
}

/** Removes a carried folder unless somebody holds it; answers whether it did. */
export async function dropCarried(parts: Parts, id: string): Promise<boolean> {
  const lock = tryFileLock(parts.sqlite, parts.layout, join(parts.layout.locks, `${lockPrefix}${id}.db`))
  if (!lock) return false
  try {
    await discard(parts, join(parts.layout.carried, id))
    return true
  } finally {
    lock.release()
  }
}

/** Removes the folders of processes that died in them. */
export async function sweepCarried(parts: Parts): Promise<void> {
  for (const id of carriedIds(parts)) {
    if (!lstatSync(join(parts.layout.carried, id, 'whole'), { throwIfNoEntry: false })) {
      await dropCarried(parts, id)
    }
  }
}

function takeWhole(place: string): boolean {
  try {
    const whole = join(place, 'whole')
    if (readFileSync(whole, 'latin1') !== thisBoot()) return false
    unlinkSync(whole)
    return statSync(join(place, 'files')).isDirectory()
  } catch {
    return false
  }
}

// When this fails, the disk being full for one, the next run begins with an empty folder: no reason to fail a stage.
function putWhole({ layout }: Parts, place: string): void {
  const boot = thisBoot()
  if (boot === undefined) return
  try {
    layout.ownTree(place)
    writeFileSync(join(place, 'whole'), boot, { mode: 0o644 })
    layout.own(join(place, 'whole'))
  } catch {}
}

// Nothing in a carried folder is synced: after a power cut nobody knows what of it reached the disk.
function thisBoot(): string | undefined {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1')
  } catch {
    return undefined
  }
}

async function begin(parts: Parts, place: string): Promise<void> {
  await discard(parts, place)
  await dropOldest(parts)
  parts.layout.makeFolder(place)
  parts.layout.makeFolder(join(place, 'files'))
}

async function dropOldest(parts: Parts): Promise<void> {
  const used = (id: string): number =>
    statSync(join(parts.layout.carried, id), { throwIfNoEntry: false })?.mtimeMs ?? 0
  const known = carriedIds(parts).sort((a, b) => used(a) - used(b))
  let surplus = known.length + 1 - mostCarried
  for (const id of known) if (surplus > 0 && (await dropCarried(parts, id))) surplus -= 1
}

// Aside first: a removal that is cut short leaves no half of it here. What cannot be removed is told at the end.
async function discard({ layout, presence }: Parts, place: string): Promise<void> {
  if (!lstatSync(place, { throwIfNoEntry: false })) return
  const aside = presence.stageFolder()
  moveAside(place, aside)
  layout.own(aside)
  tracePoint('gc.uncarried')
  await removeTree(aside).catch(() => {})
}
