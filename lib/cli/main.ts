/** From arguments to an exit code: parses, runs one verb, shows what went wrong. */
import { type Command, CommanderError } from 'commander'
import { errorCodes, type FleetsieError, toFleetsieError } from '../errors.ts'
import { errorEvent } from './error-event.ts'
import { program } from './program.ts'
import type { Project } from './project.ts'
import { Session } from './session.ts'
import { usageError } from './usage-error.ts'

/** Runs one command line. Sets process.exitCode; never throws. `project` is absent where no pipeline.ts is. */
export async function main(args: readonly string[], project: Project | undefined): Promise<void> {
  // Modes of what we make must not depend on who runs us.
  process.umask(0o022)
  const session = new Session(project)
  const commands = program(session)
  try {
    if (!(await helpedWithStage(session, commands, args)))
      await commands.parseAsync([...args], { from: 'user' })
    // A verb that looks at no signal came to its end; who interrupted it may not take that for a success.
    if (session.interrupted) throw session.interrupted
  } catch (error) {
    if (error instanceof CommanderError && (error.exitCode === 0 || error.code === 'commander.help')) {
      // It was help or the version, or no verb was named; commander has printed it.
      process.exitCode = error.exitCode
    } else if (error instanceof CommanderError) {
      await session.show({ json: args.includes('--json') })
      session.emit(errorEvent(usageError(commands, args, error)))
      process.exitCode = errorCodes.E_USAGE.exit
    } else {
      const failure = session.interrupted ?? toFleetsieError(error)
      if (!session.interrupted || !session.endsByInterrupt) session.emit(errorEvent(failure))
      process.exitCode = failure.exitCode
    }
  } finally {
    await session.close()
  }
}

/** `help STAGE` and `STAGE --help`; a verb of that name comes first. */
async function helpedWithStage(
  session: Session,
  commands: Command,
  args: readonly string[],
): Promise<boolean> {
  if (args[0] !== 'help' && args[1] !== '--help' && args[1] !== '-h') return false
  const { stageAsked, stageHelp } = await import('./verbs/stage-help.ts')
  const stage = stageAsked(args)
  if (!stage) return false
  const verb = commands.commands.find((command) => command.name() === stage.name)
  if (verb) {
    verb.outputHelp()
    session.emit({ type: 'answer', text: '\nThe stage of the same name, for a pipeline.ts\n' })
  }
  stageHelp(session, stage)
  return true
}

/** Ends a command line that failed before it could be run. */
export async function fail(args: readonly string[], failure: FleetsieError): Promise<void> {
  const session = new Session(undefined)
  await session.show({ json: args.includes('--json') })
  session.emit(errorEvent(failure))
  process.exitCode = failure.exitCode
  await session.close()
}
