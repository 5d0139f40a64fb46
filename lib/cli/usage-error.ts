/** A command line that is none: one line says why, another how it would be one. */
import type { Command, CommanderError } from 'commander'
import { FleetsieError } from '../errors.ts'
import { exampleOf } from './commands/verb.ts'

/** What commander says of `args`, with an example of the verb in place of its whole help. */
export function usageError(
  root: Command,
  args: readonly string[],
  { message }: CommanderError,
): FleetsieError {
  const command = commandOf(root, args)
  const [why = '', ...more] = message.replace(/^error: /, '').split('\n')
  const [, meant] = /Did you mean (.*)\?/.exec(more.join(' ')) ?? []

  const remedy = meant ?? exampleOf(command)
  const help = `${pathOf(command)} --help`
  return new FleetsieError('E_USAGE', why, { hint: remedy === undefined ? help : `${remedy}, or ${help}` })
}

/** The verb that is meant, as far as the words tell. */
function commandOf(root: Command, args: readonly string[]): Command {
  let command = root
  for (const word of args) {
    const below = command.commands.find((child) => child.name() === word)
    if (below) command = below
    else if (!word.startsWith('-')) break
  }
  return command
}

function pathOf(command: Command): string {
  return command.parent ? `${pathOf(command.parent)} ${command.name()}` : command.name()
}
