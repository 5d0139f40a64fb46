/** The verbs about this machine and what it can get. */
import type { Command } from 'commander'
import type { Session } from '../session.ts'
import { verb } from './verb.ts'

export function machineCommands(root: Command, session: Session): void {
  verb(
    root,
    'lock [file]',
    'refresh the list of Debian packages that `debian` installs',
    'lock debian.lock',
  ).action(async (file: string | undefined, options) =>
    (await import('../verbs/lock.ts')).lock(session, file, options),
  )

  verb(
    root,
    'doctor',
    'say what is missing on this machine, and the command that installs it',
    'doctor',
  ).action(async (options) => (await import('../verbs/doctor.ts')).doctor(session, options))
}
