/** `devices`: the disks of this machine, those first that an operator would write, with what is on them. */
import { type ListedCard, listCards } from '../../images/cards/list.ts'
import { volumesOnCard } from '../../images/values/card-volumes.ts'
import { claimedIdentity } from '../../images/values/claimed-identity.ts'
import { contents, hardware } from '../card/describe.ts'
import type { Session } from '../session.ts'

export async function devices(session: Session, options: { json?: boolean }): Promise<void> {
  await session.show(options)
  const cards = await listCards()
  const candidates = cards.filter(({ refusals }) => refusals.length === 0)
  if (candidates.length === 0) {
    session.emit({ type: 'answer', text: 'no card or stick is here that could be written', data: [] })
  }
  for (const card of cards) {
    const claimed = await claimedIdentity(await volumesOnCard(card.path))
    const { refusals } = card
    session.emit({
      type: 'answer',
      text: textOf(card, claimed?.described),
      data: { ...card, claimed: claimed ?? null, refusals: refusals.map(({ reason }) => reason) },
    })
  }
}

/** A line for the device and one for each thing to know about it. */
function textOf(card: ListedCard, claimed: string | undefined): string {
  const indent = `\n${' '.repeat(13)}`
  const { refusals } = card
  const why = refusals.map(({ reason, allowedBy }) =>
    allowedBy === undefined ? reason : `${reason} (--${allowedBy})`,
  )
  return [
    `${card.name.padEnd(12)} ${hardware(card)}`,
    ...(refusals.length > 0 ? [`${indent}not to be written: ${why.join('; ')}`] : []),
    `${indent}on it: ${contents(card)}`,
    ...(claimed === undefined ? [] : [`${indent}belongs to ${claimed}`]),
  ].join('')
}
