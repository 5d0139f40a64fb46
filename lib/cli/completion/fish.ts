/** The completion script for fish: one line for each word, with its description. */
import type { Flag, Programs, Values, Verb } from './words.ts'

export function fishScript({ names, short }: Programs, verbs: readonly Verb[]): string {
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
    switch (basename $words[1])
        case ${[...short.keys()].join(' ')}
            set words[1] (string replace -r '_[^_]*$' '' $words[1])
    end
    $words[1] completion --list $argv[1] 2>/dev/null
end
${names.flatMap((name) => [`complete -c ${name} -f`, ...verbs.flatMap((verb) => lines(name, verb))]).join('\n')}
${[...short].flatMap(([name, verb]) => [`complete -c ${name} -f`, ...shortLines(name, verbs, verb)]).join('\n')}
`
}

function lines(program: string, verb: Verb): string[] {
  const { path, about } = verb
  const start = `complete -c ${program} -n`
  const here = `${start} ${quoted(`__fleetsie_at ${path.join(' ')}`)}`
  const before = path.length === 1 ? '__fleetsie_first' : `__fleetsie_at ${path.slice(0, -1).join(' ')}`
  const own = `${start} ${quoted(before)} -a ${quoted(path.at(-1)!)} -d ${quoted(about)}`
  return [own, ...followers(here, verb)]
}

/** Of a program that is the verb `name`. */
function shortLines(program: string, verbs: readonly Verb[], name: string): string[] {
  const verb = verbs.find(({ path }) => path.join(' ') === name)
  return verb ? followers(`complete -c ${program}`, verb) : []
}

/** What may follow a verb. */
function followers(here: string, { flags, args }: Verb): string[] {
  const values = args.filter((value) => value.from !== 'nothing')
  return [
    ...flags.map((flag) => `${here} ${flagWords(flag)} -d ${quoted(flag.about)}`),
    ...[...new Set(values.map(candidates))].map((words) => `${here} ${words}`),
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
