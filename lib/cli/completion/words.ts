/** What can be completed, taken from the declared verbs: one model that the script of each shell is written from. */
import type { Argument, Command, Option } from 'commander'

/** How a value is completed: from a list, from this pipeline's targets or stages, from what the machine has or knows, or as a file. */
export type Values =
  | { from: 'list'; list: readonly string[] }
  | { from: 'targets' | 'stages' | 'disks' | 'fleets' | 'hosts' | 'files' | 'nothing' }

export interface Flag {
  /** With their dashes: `-j`, `--jobs`. */
  names: readonly string[]
  about: string
  /** Undefined for a flag without a value. */
  value: Values | undefined
}

export interface Verb {
  /** `build`, or `keys new` with its group. */
  path: readonly string[]
  about: string
  flags: readonly Flag[]
  /** The names of the verbs that it holds: `keys` holds `new` and `show`. Then it has no arguments. */
  holds: readonly string[]
  /** One for each argument; the last goes on when `repeats`. */
  args: readonly Values[]
  repeats: boolean
}

/** The names of this program, and those that are one verb of it each. */
export interface Programs {
  names: readonly string[]
  short: ReadonlyMap<string, string>
}

/** Every verb below `root`, groups before the verbs that they hold. */
export function verbsOf(root: Command, above: readonly string[] = []): Verb[] {
  return root.commands.flatMap((command) => {
    const path = [...above, command.name()]
    const args = command.registeredArguments
    return [
      {
        path,
        about: firstSentence(command.description()),
        flags: [...command.options.filter((option) => !option.hidden).map(toFlag), help],
        holds: command.commands.map((child) => child.name()),
        args: args.map(valuesOfArgument),
        repeats: args.at(-1)?.variadic ?? false,
      },
      ...verbsOf(command, path),
    ]
  })
}

const help: Flag = { names: ['-h', '--help'], about: 'help with an example', value: undefined }

function toFlag(option: Option): Flag {
  const takesValue = option.required || option.optional
  return {
    names: [option.short, option.long].filter((name) => name !== undefined),
    about: firstSentence(option.description),
    value: takesValue ? valuesOf(placeholder(option.flags), option.argChoices) : undefined,
  }
}

function valuesOfArgument(argument: Argument): Values {
  return valuesOf(argument.name(), argument.argChoices)
}

/** `--against <run>` → run. */
function placeholder(flags: string): string {
  return /[<[]([^\]>.]+)/.exec(flags)?.[1] ?? ''
}

/** What a value is called in the help says what it is. */
function valuesOf(name: string, choices: readonly string[] | undefined): Values {
  if (choices) return { from: 'list', list: choices }
  const word = name.toLowerCase()
  if (word === 'target' || word === 'stage') return { from: `${word}s` }
  if (/(?:^|[_@])(?:host|server)$/.test(word)) return { from: 'hosts' }
  if (word.startsWith('fleet')) return { from: 'fleets' }
  if (/^(?:dev|disk|card|usb)/.test(word)) return { from: 'disks' }
  if (/^(?:a|b|csv|folder)$|file|path|image/.test(word)) {
    return { from: 'files' }
  }
  return { from: 'nothing' }
}

function firstSentence(text: string): string {
  return text.split(/[;\n]/, 1)[0]!.trim()
}
