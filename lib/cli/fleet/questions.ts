/** Questions that come with setting up servers. */
import { FleetsieError } from '../../errors.ts'
import type { Prompts } from '../../hosts/ssh/types.ts'

/** How often two passwords may differ. */
const tries = 3

/** Several servers ask through one terminal: each waits for the answer before its own. */
export function oneAtATime(prompts: Prompts): Prompts {
  let last: Promise<unknown> = Promise.resolve()
  const queued = <T>(ask: () => Promise<T>): Promise<T> => {
    const answer = last.then(ask, ask)
    last = answer
    return answer
  }
  return {
    secret: (question) => queued(() => prompts.secret(question)),
    confirm: (question, details) => queued(() => prompts.confirm(question, details)),
  }
}

/** A password that was typed the same way twice. Fails with E_CANCELLED. */
export async function newPassword(prompts: Prompts, whose: string): Promise<string> {
  for (let tried = 0; tried < tries; tried++) {
    const again = tried === 0 ? '' : 'The two differ. '
    const first = await prompts.secret(`${again}New password for ${whose}: `)
    if (first === (await prompts.secret(`The same once more: `))) return first
  }
  throw new FleetsieError('E_CANCELLED', 'no password was typed the same way twice')
}
