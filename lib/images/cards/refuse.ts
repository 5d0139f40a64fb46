/** Why a device must not be written, seen from what is known of it. */
import { FleetsieError } from '../../errors.ts'
import type { CardInfo } from '../devices/types.ts'
import type { Role } from './inspect.ts'

export interface Refusal {
  reason: string
  hint: string
  /** The option by which the user may have it all the same. */
  allowedBy?: 'unmount' | 'yes-really'
}

const list = 'look for the right one with `fleetsie devices`'

/** All reasons, the gravest first. None: it may be written. */
export function refusals(card: CardInfo, role: Role): Refusal[] {
  const found: Refusal[] = []
  const no = (reason: string, hint = list): number => found.push({ reason, hint })
  if (card.holdsRoot) no('this system runs from it')
  if (card.holdsSwap) no('its disk holds swap space in use', 'swapoff first, if that is really the one')
  if (role === 'partition' && card.kind === 'disk') {
    no('it is a whole disk, really not a disk partition', `name its partitions, or --whole ${card.name}`)
  }
  if (role === 'disk' && card.kind === 'partition') {
    no(`it is a partition of ${card.disk}, not a whole disk`, `--whole ${card.disk}, or leave out --whole`)
  }
  if (card.size === 0) no(card.kind === 'file' ? 'it is empty' : 'there is no medium in it')
  if (card.readOnly) {
    no(
      card.kind === 'file' ? 'it may not be written' : 'it is read-only',
      card.transport === 'mmc' || card.transport === 'usb' ? 'slide the lock of the card' : list,
    )
  }
  if (card.mounts.length > 0) {
    const places = [...new Set(card.mounts.map(({ at }) => at))]
    found.push({
      reason: `it is mounted at ${places.slice(0, 3).join(', ')}${places.length > 3 ? ', …' : ''}`,
      hint: '--unmount takes it away',
      allowedBy: 'unmount',
    })
  }
  if (card.holders.length > 0 && card.mounts.length === 0) {
    no(`it is in use by ${card.holders.join(', ')}`, `take ${card.holders[0]} away first`)
  }
  if (!card.removable) {
    const what = card.transport === undefined ? '' : ` (${card.transport})`
    found.push({
      reason: `it is not removable${what}`,
      hint: '--yes-really, if this is what you mean',
      allowedBy: 'yes-really',
    })
  }
  return found
}

/** What the user has allowed. */
export interface Allowed {
  unmount?: boolean | undefined
  yesReally?: boolean | undefined
}

/** Fails with E_UNSAFE for the first reason that is not allowed. */
export function refuse(card: CardInfo, role: Role, allowed: Allowed): void {
  const options = { unmount: allowed.unmount === true, 'yes-really': allowed.yesReally === true }
  const refusal = refusals(card, role).find(({ allowedBy }) => allowedBy === undefined || !options[allowedBy])
  if (refusal === undefined) return
  throw new FleetsieError('E_UNSAFE', `${card.name}: ${refusal.reason}`, { hint: refusal.hint })
}
