/** The question for a new password. */
import { FleetsieError } from '../../errors.ts'
import type { Prompts } from '../../hosts/ssh/types.ts'

/** How often two passwords may differ. */
const tries = 3

/** A password that was typed the same way twice. Fails with E_CANCELLED, and with E_USAGE where there is no terminal. */
export async function newPassword(prompts: Prompts, whose: string): Promise<string> {
  for (let tried = 0; tried < tries; tried++) {
    const again = tried === 0 ? '' : 'The two differ. '
    const first = await prompts.secret(`${again}New password for ${whose}: `).catch(withRemedy)
    if (first === (await prompts.secret(`New password for ${whose}, once more: `))) return first
  }
  throw new FleetsieError('E_CANCELLED', 'no password was typed the same way twice')
}

function withRemedy(error: unknown): never {
  if (!(error instanceof FleetsieError) || error.code !== 'E_USAGE') throw error
  throw new FleetsieError('E_USAGE', error.message, {
    hint: 'run it in a terminal the first time: only the user that is made then is given a password',
    cause: error,
  })
}
