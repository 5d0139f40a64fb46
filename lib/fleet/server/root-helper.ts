/** What the user `fleetsie` may do as root: the verbs of units/fleetsie_root, called through sudo. */
import type { Run } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import type { RootHelper } from '../registry/server.ts'

/** Where `srv` puts it, and what its sudoers file allows. */
export const rootHelperPath = '/usr/local/sbin/fleetsie_root'

/** Milliseconds. */
const timeout = 60_000

/** Each verb fails with E_RIGHTS where sudo does not let it, else with E_STAGE and what it said. */
export function rootHelper(run: Run): RootHelper {
  const call = async (args: readonly string[], input?: string): Promise<void> => {
    const options = input === undefined ? { timeout } : { timeout, input }
    try {
      await run('sudo', ['-n', '--', rootHelperPath, ...args], options)
    } catch (error) {
      throw explained(error)
    }
  }
  return {
    addFleet: (fleet) => call(['add-fleet', fleet]),
    writeKeys: (fleet, text) => call(['write-keys', fleet, String(Buffer.byteLength(text))], text),
    ownFiles: (fleet) => call(['own-files', fleet]),
    // Names on stdin: thousands are too many for arguments.
    endSession: (fleet, names) =>
      names === undefined
        ? call(['end-session', fleet])
        : call(['end-session', fleet, '-'], names.map((name) => `${name}\n`).join('')),
  }
}

/** The error for a helper that could not be called, or what else it was. */
export function explained(error: unknown): unknown {
  if (!(error instanceof FleetsieError)) return error
  if (error.code !== 'E_TOOL' && !/sudo: .*(password|not allowed|command not found)/.test(error.message))
    return error
  return new FleetsieError('E_RIGHTS', 'the user fleetsie may not call its helper by sudo', {
    file: rootHelperPath,
    hint: 'set the server up again: fleetsie srv USER@SERVER',
    cause: error,
  })
}
