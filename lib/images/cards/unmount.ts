/** Takes away what is mounted of a card, when the user has said so. */
import type { Run } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import type { CardInfo } from '../devices/types.ts'

/** Unmounts all of `card`, what was mounted last first. Fails with E_UNSAFE when something keeps it. */
export async function unmountCard(card: CardInfo, run: Run): Promise<void> {
  const elsewhere = card.mounts.find(({ here }) => !here)
  if (elsewhere) {
    throw new FleetsieError(
      'E_UNSAFE',
      `${card.name}: it is mounted at ${elsewhere.at} in another mount namespace, of a container for one`,
      { hint: 'end what runs there' },
    )
  }
  for (const { at } of [...card.mounts].reverse()) {
    await run('umount', ['--', at]).catch((cause: Error) => {
      throw new FleetsieError('E_UNSAFE', `${card.name}: it stays mounted at ${at}: ${cause.message}`, {
        hint: process.geteuid?.() === 0 ? `fuser -vm ${at} says who uses it` : `sudo umount ${at}`,
        cause,
      })
    })
  }
}
