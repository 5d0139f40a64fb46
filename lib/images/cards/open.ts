/** From names to cards that may be written: looked at, refused or unmounted, opened, and looked at again. */
import { stat } from 'node:fs/promises'
import { basename } from 'node:path'
import type { Run } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import { fileId } from '../devices/mounts.ts'
import { deviceId } from '../devices/sysfs.ts'
import type { CardInfo } from '../devices/types.ts'
import { openTarget } from '../flash/target.ts'
import type { Area, DiskImage, Target } from '../flash/types.ts'
import { expectCount, partitionAreas, wholeArea } from './areas.ts'
import { expectDistinct } from './distinct.ts'
import { inspectCard, type Role } from './inspect.ts'
import { type Allowed, refuse } from './refuse.ts'
import { unmountCard } from './unmount.ts'

/** Devices or files that are written as one: the partitions of a card, or a whole one. */
export interface CardNames {
  role: Role
  names: readonly string[]
}

export interface CardAccess {
  /** Relative names of files count from here. */
  cwd: string
  allowed: Allowed
  run: Run
  signal: AbortSignal
}

/** Looked at and not refused. */
export interface SeenCard {
  /** As rows and messages call it: the disk's name, or what the user wrote. */
  name: string
  role: Role
  infos: CardInfo[]
}

/** Open for this process alone. */
export interface OpenCard extends SeenCard {
  targets: Target[]
  areas: Area[]
}

/** Looks at all that is named. Fails with E_UNSAFE for the first that must not be written. Nothing is changed. */
export async function seeCards(wanted: readonly CardNames[], access: CardAccess): Promise<SeenCard[]> {
  const cards: SeenCard[] = []
  for (const { role, names } of wanted) {
    const infos: CardInfo[] = []
    for (const name of names) {
      const info = await inspectCard(name, { cwd: access.cwd, role })
      refuse(info, role, access.allowed)
      infos.push(info)
    }
    cards.push({ name: nameOf(infos), role, infos })
  }
  await expectDistinct(cards.flatMap(({ infos }) => infos))
  return cards
}

/** As the kernel calls it: a name below /dev/disk is long, and says less in a row. */
function nameOf(infos: readonly CardInfo[]): string {
  const disks = new Set(infos.map(({ disk, name }) => disk ?? name))
  if (disks.size === 1 && infos.length > 1) return [...disks][0]!
  return infos.map(({ kind, name, path }) => (kind === 'file' ? name : basename(path))).join('+')
}

/**
 * Opens a card for `image`: unmounts it where that is allowed, then nobody else can mount or write it. What has been
 * opened is what was looked at, whatever names and links point to meanwhile.
 */
export async function openCard(card: SeenCard, image: DiskImage, access: CardAccess): Promise<OpenCard> {
  const { allowed, run, signal } = access
  if (card.role === 'partition')
    expectCount(
      card.infos.map(({ name }) => name),
      image,
    )
  const targets: Target[] = []
  try {
    for (const info of card.infos) {
      if (info.mounts.length > 0 && allowed.unmount) await unmountCard(info, run)
      const target = await openTarget(info.path, { run })
      targets.push(target)
      await expectSame(info, target, access)
    }
    const named = targets.map((target, index) => ({ target, name: card.infos[index]!.name }))
    const areas =
      card.role === 'disk'
        ? wholeArea(image, targets[0]!, card.name)
        : await partitionAreas(image, named, signal)
    return { ...card, targets, areas }
  } catch (error) {
    await closeTargets(targets)
    throw error
  }
}

export async function closeTargets(targets: readonly Target[]): Promise<void> {
  for (const target of targets) await target.close()
}

/** To be called when the targets are closed: the kernel goes on with the old partitions otherwise, where no udev runs. */
export async function rereadTables(cards: readonly SeenCard[], run: Run): Promise<void> {
  for (const { role, infos } of cards) {
    if (role !== 'disk' || infos[0]!.kind === 'file') continue
    // A loop device without scanning has none, and a desktop may have mounted the new ones already.
    await run('blockdev', ['--rereadpt', infos[0]!.path]).catch(() => {})
  }
}

/** To be called when the user has answered: by then another card may be in the reader, which is open all the same. */
export async function expectUnchanged({ infos, targets }: OpenCard, access: CardAccess): Promise<void> {
  for (const [index, info] of infos.entries()) await expectSame(info, targets[index]!, access)
}

/** Another card may have been put in, a link set to another place, or the device mounted, since it was looked at. */
async function expectSame(
  info: CardInfo,
  { id }: Pick<Target, 'id'>,
  { cwd, allowed }: CardAccess,
): Promise<void> {
  const role: Role = info.kind === 'partition' ? 'partition' : 'disk'
  const now = await inspectCard(info.name, { cwd, role })
  if (
    id !== info.id ||
    now.id !== info.id ||
    now.sequence !== info.sequence ||
    now.size !== info.size ||
    now.path !== info.path
  ) {
    throw new FleetsieError('E_UNSAFE', `${info.name} became another device while it was looked at`, {
      hint: 'look at `fleetsie devices`, then run this again',
    })
  }
  refuse(now, role, { ...allowed, unmount: false })
}

/** Fails with E_UNSAFE when `file`, which is needed meanwhile, lies on one of the cards or is one. */
export async function expectElsewhere(file: string, cards: readonly SeenCard[]): Promise<void> {
  const stats = await stat(file, { bigint: true })
  for (const info of cards.flatMap(({ infos }) => infos)) {
    const is = info.id === fileId(stats)
    const on = info.mounts.some(({ device }) => device === deviceId(stats.dev))
    if (!is && !on) continue
    throw new FleetsieError(
      'E_UNSAFE',
      `${info.name}: the image itself ${is ? 'is this file' : 'lies on it'}`,
      {
        file,
        hint: 'name another device, or copy the image elsewhere first',
      },
    )
  }
}
