/** `devices`: the disks of this machine, those first that an operator would write, with what is on them. */
import { type ListedCard, listCards } from '../../images/cards/list.ts'
import { findReceipt, receiptFolder } from '../../images/flash/receipt.ts'
import { identifyCard } from '../../images/flash/receipt-identity.ts'
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
    const receipt = await receiptOf(card)
    const { refusals } = card
    session.emit({
      type: 'answer',
      text: textOf(card, claimed?.described, receipt),
      data: {
        ...card,
        claimed: claimed ?? null,
        written: receipt ?? null,
        refusals: refusals.map(({ reason }) => reason),
      },
    })
  }
}

/** The image that was last written to it from here. Whether somebody was there since, `updatesd` finds out. */
async function receiptOf(card: ListedCard): Promise<{ image: string; when: string } | undefined> {
  const identity = await identifyCard([card])
  const receipt = identity && (await findReceipt(await receiptFolder(process.env), identity))
  return receipt && { image: receipt.image.name, when: new Date(receipt.when).toISOString() }
}

/** A line for the device and one for each thing to know about it. */
function textOf(
  card: ListedCard,
  claimed: string | undefined,
  receipt: Awaited<ReturnType<typeof receiptOf>>,
): string {
  const indent = `\n${' '.repeat(13)}`
  const { refusals } = card
  const why = refusals.map(({ reason, allowedBy }) =>
    allowedBy === undefined ? reason : `${reason} (--${allowedBy})`,
  )
  return [
    `${card.name.padEnd(12)} ${hardware(card)}`,
    ...(refusals.length > 0 ? [`${indent}not to be written: ${why.join('; ')}`] : []),
    `${indent}on it: ${contents(card)}`,
    ...(receipt ? [`${indent}last written from here: ${receipt.image}, ${receipt.when.slice(0, 10)}`] : []),
    ...(claimed === undefined ? [] : [`${indent}belongs to ${claimed}`]),
  ].join('')
}
