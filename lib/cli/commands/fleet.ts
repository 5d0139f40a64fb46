/** The verbs of the fleet: its server, its disks, its devices. */
import type { Command } from 'commander'
import type { Session } from '../session.ts'
import { positive, verb } from './verb.ts'

export function fleetCommands(root: Command, session: Session): void {
  verb(
    root,
    'srv <user@server...>',
    'set up servers for use with gen, or bring them up to date',
    'srv root@server',
  )
    .option('--plan', 'say what would change, and change nothing')
    .option('--key <file>', 'the public key that may log in as fleetsie; default: one of yours')
    .option('-j, --jobs <n>', 'how many servers at once', positive, 4)
    .addHelpText('after', srvHelp)
    .action(async (servers: string[], options) =>
      (await import('../verbs/srv.ts')).srv(session, servers, options),
    )
}

const srvHelp = `
USER is root or may use sudo. The password of the user fleetsie is asked for when that user has to be made.
To see what would be done to two servers, as JSON:
  $ fleetsie srv --plan --json root@one admin@two:2222`
