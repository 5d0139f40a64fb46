/** Which file says how far the write of each card has come. */
import { createHash } from 'node:crypto'
import type { KnownCard } from './known.ts'

/**
 * In the order of the cards, each another one. Readers of one make often have one number, and so have the slots of one
 * reader: the second card of that number has the second file. Whose card it really is of, the mark on the card says.
 */
export function journalNames(cards: readonly Pick<KnownCard, 'identity' | 'infos'>[]): string[] {
  const seen = new Map<string, number>()
  return cards.map(({ identity, infos }) => {
    const key = identity ? `${identity.key}\n${identity.starts}` : infos.map(({ id }) => id).join('\n')
    const name = createHash('sha256').update(key).digest('hex').slice(0, 32)
    const before = seen.get(name) ?? 0
    seen.set(name, before + 1)
    return before === 0 ? `${name}.journal` : `${name}-${before + 1}.journal`
  })
}
