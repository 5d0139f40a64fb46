/** From an image and its `overlays/` to mounted partitions, and back: what the desk's verbs have in common. */
import { stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import { callerOf } from '../../images/caller.ts'
import { attachDesk } from '../../images/desk/attach.ts'
import type { AttachedPart, Attachment, DeskState } from '../../images/desk/attachment.ts'
import { detachDesk } from '../../images/desk/detach.ts'
import { chooseForm } from '../../images/desk/form.ts'
import { layOut } from '../../images/desk/lay-out.ts'
import { withDeskLock } from '../../images/desk/lock.ts'
import { upperPlace } from '../../images/desk/places.ts'
import { planMounts } from '../../images/desk/plan.ts'
import { deskState } from '../../images/desk/state.ts'
import { takeIn } from '../../images/desk/take-in.ts'
import type { Desk, DeskPart, TakenIn } from '../../images/desk/types.ts'
import { type PartitionTable, readPartitionTable } from '../../images/partitions.ts'
import { formatBytes } from '../format.ts'
import type { Session } from '../session.ts'
import { temporaryRun } from '../temporary-run.ts'
import { type DeskPlace, openDesk } from './find.ts'
import { counted } from './show.ts'

/** A desk with a user who may interrupt. */
export type Workplace = Desk & { signal: AbortSignal }

/** Runs `work` while no other verb is at this desk. */
export function atDesk<T>(
  session: Session,
  place: DeskPlace,
  work: (desk: Workplace) => Promise<T>,
): Promise<T> {
  const { signal } = session
  return withDeskLock(place.folder, () =>
    temporaryRun(signal, (run) =>
      work({
        folder: place.folder,
        disk: place.disk,
        run,
        caller: callerOf(process.env),
        note: (message) => session.emit({ type: 'note', message }),
        warn: (message) => session.emit({ type: 'warning', message }),
        signal,
      }),
    ),
  )
}

export interface Mounted {
  attachment: Attachment
  table: PartitionTable
}

/** Lays overlays/ out and mounts. What nobody took in yet of an earlier mount comes first: layOut sees to that. */
export async function putUp(desk: Workplace): Promise<Mounted> {
  const table = await readPartitionTable(desk.disk, desk.warn)
  for (const part of partsOf(table, await chooseForm(desk.folder))) {
    await expectOwn(join(desk.folder, upperPlace(part.partition.number)))
    await layOut(desk, part)
  }
  return { attachment: await attachDesk({ ...desk, table }), table }
}

/** What root has laid out, a user cannot lay out anew. */
async function expectOwn(upper: string): Promise<void> {
  const stats = await stat(upper).catch(() => undefined)
  const uid = process.geteuid!()
  if (uid === 0 || stats === undefined || stats.uid === uid) return
  throw new FleetsieError('E_RIGHTS', 'root has worked at this desk, and this holds what root changed', {
    file: upper,
    hint: `go on with sudo, or bring all of it into overlays/ and have it laid out anew: sudo fleetsie_mod mount && sudo fleetsie_mod unmount && sudo rm -r ${dirname(upper)}/.new_*`,
  })
}

/** The partitions that a desk can have changes of. What is left out, attachDesk warns of. */
export function partsOf(table: PartitionTable, form: Attachment['form']): DeskPart[] {
  const { attachment, partitions } = planMounts(table, form, () => {})
  return attachment.parts.map((form, index) => ({ partition: partitions[index]!, form }))
}

/**
 * Before putUp: cleans up what a crash left, and takes in what was changed of the image that `.image` leads to so far,
 * which may be another. Fails with E_USAGE when it is mounted.
 */
export async function clearAway(desk: Workplace): Promise<void> {
  const state = await deskState(desk.folder)
  if (state.is === 'mounted') throw alreadyMounted()
  const { disk } = await openDesk(desk.folder).catch(() => desk)
  if (state.is === 'stale') await takeDown({ ...desk, disk }, state)
  else if (disk !== desk.disk) await leaveImage({ ...desk, disk })
}

/** Takes in what was changed of an image before another takes its place. One that is damaged keeps nobody there. */
async function leaveImage(desk: Workplace): Promise<void> {
  try {
    for (const part of partsOf(await readPartitionTable(desk.disk), 'kernel')) await takeIn(desk, part)
  } catch (error) {
    if (!(error instanceof FleetsieError) || error.code !== 'E_DAMAGED' || error.file !== desk.disk)
      throw error
    desk.warn(
      `${basename(desk.disk)}, the desk's image so far, is damaged: ${error.message}; what was changed is compared with the new one`,
    )
  }
}

/** Takes the changes of all partitions into overlays/. */
export async function takeInAll(desk: Workplace, parts: readonly AttachedPart[]): Promise<TakenIn> {
  const all: TakenIn = { written: 0, removed: 0, lines: 0, bytes: 0 }
  if (parts.length === 0) return all
  const table = await readPartitionTable(desk.disk)
  for (const form of parts) {
    const partition = table.partitions.find(({ number }) => number === form.number)
    if (!partition) continue
    if (!(await stat(join(desk.folder, form.upper)).catch(() => undefined))) {
      desk.warn(
        `${form.upper} is gone, and with it what was changed in ${form.merged}: overlays/ stays as it was`,
      )
    }
    const { written, removed, lines, bytes } = await takeIn(desk, { partition, form })
    all.written += written
    all.removed += removed
    all.lines += lines
    all.bytes += bytes
  }
  return all
}

/** Unmounts with nothing lost; what a crash or a reboot left is cleaned up, and told in one line. */
export async function takeDown(
  desk: Workplace,
  state: Exclude<DeskState, { is: 'unmounted' }>,
): Promise<TakenIn> {
  const isThere = (await stat(desk.disk).catch(() => undefined))?.isFile()
  const parts = (isThere && state.record?.parts) || []
  if (!isThere) {
    desk.warn(
      `${basename(desk.disk)} is not there: what was changed stays in .new_N until it is mounted again`,
    )
  }
  if (state.is === 'mounted') {
    const taken = await takeInAll(desk, parts)
    await detachDesk(desk)
    return taken
  }
  await detachDesk(desk)
  const taken = await takeInAll(desk, parts)
  desk.note(`a crash or a reboot had left the desk half mounted: cleaned up, ${toldTaken(taken)}`)
  return taken
}

/** What is mounted; after a crash it is mounted again first. Fails with E_USAGE when nothing is. */
export async function expectMounted(desk: Workplace): Promise<Attachment> {
  const state = await deskState(desk.folder)
  if (state.is === 'mounted') return state.record
  if (state.is === 'unmounted') throw notMounted()
  await takeDown(desk, state)
  return (await putUp(desk)).attachment
}

function alreadyMounted(): FleetsieError {
  return new FleetsieError('E_USAGE', 'image is already mounted', { hint: 'fleetsie_mod unmount' })
}

export function notMounted(): FleetsieError {
  return new FleetsieError('E_USAGE', 'image is not mounted', { hint: 'fleetsie_mod mount' })
}

export function isSome({ written, removed, lines }: TakenIn): boolean {
  return written + removed + lines > 0
}

/** What was taken in, in words. */
export function toldTaken(taken: TakenIn): string {
  const { written, removed, lines, bytes } = taken
  if (!isSome(taken)) return 'overlays/ has all of it already'
  const parts = [
    written > 0 && `${counted(written, 'file')} (${formatBytes(bytes)})`,
    removed > 0 && `${removed} removed`,
    lines > 0 && `${counted(lines, 'line')} of mtree`,
  ].filter((part) => part !== false)
  return `taken into overlays/: ${parts.join(', ')}`
}
