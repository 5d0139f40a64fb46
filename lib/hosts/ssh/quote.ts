/** Arguments as text for the login shell of the far side, which ssh always goes through. */
import { FleetsieError } from '../../errors.ts'
import { shellQuoted } from '../../formats/shell.ts'

/** Linux takes 128 KiB for one argument (MAX_ARG_STRLEN), and the command is one for that shell. */
const maxCommand = 120 * 1024

/** One line for any POSIX shell that gives a program exactly these arguments. Fails with E_INPUT. */
export function quoteCommand(argv: readonly string[]): string {
  if (argv.length === 0) throw new FleetsieError('E_INPUT', 'there is no program to run')
  const command = argv.map(quote).join(' ')
  if (Buffer.byteLength(command) > maxCommand) {
    throw new FleetsieError('E_INPUT', `the command is longer than ${maxCommand} bytes`, {
      hint: 'give large data on stdin',
    })
  }
  return command
}

function quote(argument: string): string {
  if (argument.includes('\0')) throw new FleetsieError('E_INPUT', 'an argument holds a NUL byte')
  // No `=` (an assignment) and no `~` (a home folder) among what needs no quotes.
  return /^[A-Za-z0-9_@%+:,./-]+$/.test(argument) ? argument : shellQuoted(argument)
}
