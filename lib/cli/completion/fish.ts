/** The completion script for fish: one line for each word, with its description. */
import type { Flag, Values, Verb } from './words.ts'

export function fishScript(programs: readonly string[], verbs: readonly Verb[]): string {
  return `# fish completion of fleetsie; \`fleetsie completion --help\` says where it belongs
function __fleetsie_at
    set -l words (commandline -opc)
    set -e words[1]
    set -l plain (string match -v -- '-*' $words)
    for index in (seq (count $argv))
        test "$plain[$index]" = "$argv[$index]"; or return 1
    end
end
function __fleetsie_first
    set -l words (commandline -opc)
    set -e words[1]
    test -z "$(string match -v -- '-*' $words)"
end
function __fleetsie_ask
    set -l words (commandline -opc)
    $words[1] completion --list $argv[1] 2>/dev/null
end
${programs.flatMap((program) => [`complete -c ${program} -f`, ...verbs.flatMap((verb) => lines(program, verb))]).join('\n')}
`
}

function lines(program: string, verb: Verb): string[] {
  const { path, about, flags, args } = verb
  const start = `complete -c ${program} -n`
  const here = quoted(`__fleetsie_at ${path.join(' ')}`)
  const before = path.length === 1 ? '__fleetsie_first' : `__fleetsie_at ${path.slice(0, -1).join(' ')}`
  const own = `${start} ${quoted(before)} -a ${quoted(path.at(-1)!)} -d ${quoted(about)}`
  const values = args.filter((value) => value.from !== 'nothing')
  return [
    own,
    ...flags.map((flag) => `${start} ${here} ${flagWords(flag)} -d ${quoted(flag.about)}`),
    ...[...new Set(values.map(candidates))].map((words) => `${start} ${here} ${words}`),
  ]
}

function flagWords({ names, value }: Flag): string {
  const words = names.map((name) => (name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`))
  return [...words, ...(value ? ['-r', candidates(value)] : [])].join(' ')
}

function candidates(values: Values): string {
  switch (values.from) {
    case 'list':
      return `-x -a ${quoted(values.list.map((word) => word.replaceAll(' ', '\\ ')).join(' '))}`
    case 'files':
      return '-F'
    case 'nothing':
      return '-x'
    default:
      return `-x -a ${quoted(`(__fleetsie_ask ${values.from})`)}`
  }
}

function quoted(text: string): string {
  return `'${text.replace(/['\\]/g, '\\$&')}'`
}
