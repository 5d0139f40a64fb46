/** The verbs, by what they are about. Each verb's code is loaded when it is called, not before. */
import { Command } from 'commander'
import { version } from '../version.ts'
import { bootCommands } from './commands/boot.ts'
import { buildCommands } from './commands/build.ts'
import { cardCommands } from './commands/card.ts'
import { deskCommands } from './commands/desk.ts'
import { fleetCommands } from './commands/fleet.ts'
import { lookCommands } from './commands/look.ts'
import { machineCommands } from './commands/machine.ts'
import { storeCommands } from './commands/store.ts'
import { trustCommands } from './commands/trust.ts'
import type { Session } from './session.ts'

const description = `From a stock OS image to a provisioned fleet, as cached, content-addressed stages.

\`zx pipeline.ts VERB\` and \`fleetsie VERB\` are the same; \`help STAGE\` tells what a stage takes.`

export function program(session: Session): Command {
  const root = new Command('fleetsie')
    .description(description)
    .version(version)
    .exitOverride()
    // usage-error.ts says it: the whole help after it would push it off the screen.
    .configureOutput({ outputError: () => {} })
  // With their arguments the names leave no room for what the verbs do.
  root.helpCommand(true).configureHelp({ subcommandTerm: (command) => command.name() })
  buildCommands(root, session)
  lookCommands(root, session)
  deskCommands(root, session)
  cardCommands(root, session)
  fleetCommands(root, session)
  bootCommands(root, session)
  storeCommands(root, session)
  trustCommands(root, session)
  machineCommands(root, session)
  return root
}
