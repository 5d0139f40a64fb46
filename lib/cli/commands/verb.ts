/** How every verb is declared, and the types of their options. */
import { type Command, InvalidArgumentError } from 'commander'
import { parseAge, parseSize } from '../format.ts'

const examples = new WeakMap<Command, string>()

/** A verb with its usage, a line about it, and an example for its help. */
export function verb(root: Command, usage: string, summary: string, example: string): Command {
  const command = root
    .command(usage)
    .description(summary)
    .addHelpText('after', `\nExample:\n  $ fleetsie ${example}`)
    .option('--json', 'print one JSON event a line')
  examples.set(command, `fleetsie ${example}`)
  return command
}

/** How a verb is called; undefined for a group of verbs. */
export function exampleOf(command: Command): string | undefined {
  return examples.get(command)
}

export function positive(text: string): number {
  const value = Number(text)
  if (Number.isInteger(value) && value > 0) return value
  throw new InvalidArgumentError('It takes a whole number above 0.')
}

export function size(text: string): number {
  const bytes = parseSize(text)
  if (bytes !== undefined) return bytes
  throw new InvalidArgumentError('It takes a size such as 500M or 20G.')
}

export function age(text: string): number {
  const ms = parseAge(text)
  if (ms !== undefined) return ms
  throw new InvalidArgumentError('It takes an age such as 12h or 30d.')
}

/** An option that may be given several times, or with commas. */
export function collect(text: string, before: unknown): string[] {
  return [...(Array.isArray(before) ? before : []), ...text.split(',')]
}

/** An option that may be given several times; a value may hold a comma. */
export function append(text: string, before: string[] = []): string[] {
  return [...before, text]
}
