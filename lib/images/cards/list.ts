/** All disks of this machine, those first that an operator would write. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type CardHost, thisMachine } from '../devices/host.ts'
import { namedDevice } from '../devices/sysfs.ts'
import type { CardInfo } from '../devices/types.ts'
import { inspectDevice, nowInUse } from './inspect.ts'
import { type Refusal, refusals } from './refuse.ts'

export interface ListedCard extends CardInfo {
  /** Why `updatesd --whole` refuses it; none for a candidate. */
  refusals: Refusal[]
}

/** Whole disks that have a medium in them, candidates first. */
export async function listCards(host: CardHost = thisMachine): Promise<ListedCard[]> {
  const inUse = await nowInUse(host)
  const cards: ListedCard[] = []
  for (const name of (await readdir(join(host.sys, 'block'))).sort()) {
    const device = await namedDevice(host, name)
    if (!device) continue
    const path = join(host.dev, name.replaceAll('!', '/'))
    const card = await inspectDevice(name, path, device, inUse, host)
    if (card.size > 0) cards.push({ ...card, refusals: refusals(card, 'disk') })
  }
  return cards.sort((a, b) => rank(a) - rank(b))
}

/** Cards and sticks, then what needs a word, then what is refused in any case. */
function rank({ refusals, transport }: ListedCard): number {
  if (refusals.some(({ allowedBy }) => allowedBy === undefined)) return 3
  if (refusals.length > 0) return 2
  return transport === 'loop' ? 1 : 0
}
