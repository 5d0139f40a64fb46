/** The completion script for bash: a function that looks at the words before the cursor. */

import { shellQuoted } from '../../formats/shell.ts'
import type { Flag, Programs, Values, Verb } from './words.ts'

export function bashScript({ names, short }: Programs, verbs: readonly Verb[]): string {
  const top = verbs.filter(({ path }) => path.length === 1).map(({ path }) => path[0]!)
  return `# bash completion of fleetsie; \`fleetsie completion --help\` says where it belongs
# compgen -W would run what stands in a word.
_fleetsie_words() {
  local word
  while IFS= read -r word; do
    [[ $word == "$cur"* ]] && COMPREPLY+=("$word")
  done <<<"$1"
}
_fleetsie_files() {
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen -f -- "$cur")
}
_fleetsie_ask() {
  local program=\${COMP_WORDS[0]} name
  for name in ${[...short.keys()].join(' ')}; do
    [[ \${program##*/} == "$name" ]] && program=\${program%_*}
  done
  _fleetsie_words "$("$program" completion --list "$1" 2>/dev/null)"
}
_fleetsie() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} verb='' value='' count=0 at word
  COMPREPLY=()
  case \${COMP_WORDS[0]##*/} in
${[...short].map(([name, verb]) => `    ${name}) verb=${verb} ;;`).join('\n')}
  esac
  for ((at = 1; at < COMP_CWORD; at++)); do
    word=\${COMP_WORDS[at]}
    if [[ -n $value ]]; then
      value=''
      continue
    fi
    case "$verb $word" in
${takers(verbs)}
      *' -'*) ;;
${groups(verbs)}
      ' '*) verb=$word ;;
      *) count=$((count + 1)) ;;
    esac
  done
  case "$verb $prev" in
${withValues(verbs)
  .map(({ verb, flag }) => valueCase(verb, flag))
  .join('\n')}
  esac
  if [[ $cur == -* ]]; then
    case $verb in
${verbs.map(flagsCase).join('\n')}
      *) _fleetsie_words ${shellQuoted(['--help', '--version'].join('\n'))} ;;
    esac
    return
  fi
  case $verb in
    '') _fleetsie_words ${shellQuoted([...top, 'help'].join('\n'))} ;;
    help) _fleetsie_words ${shellQuoted(top.join('\n'))} ;;
${verbs.map(argumentsCase).join('\n')}
  esac
}
complete -F _fleetsie ${[...names, ...short.keys()].join(' ')}
`
}

function withValues(verbs: readonly Verb[]): { verb: Verb; flag: Flag }[] {
  return verbs.flatMap((verb) => verb.flags.filter(({ value }) => value).map((flag) => ({ verb, flag })))
}

/** What follows these is no argument of the verb. */
function takers(verbs: readonly Verb[]): string {
  const all = withValues(verbs).map(({ verb, flag }) => patterns(verb, flag))
  return `      ${all.join(' | ')}) value=yes ;;`
}

/** `keys` followed by `new` is the verb `keys new`. */
function groups(verbs: readonly Verb[]): string {
  return verbs
    .filter(({ path }) => path.length > 1)
    .map(({ path }) => `      ${shellQuoted(path.join(' '))}) verb=${shellQuoted(path.join(' '))} ;;`)
    .join('\n')
}

function valueCase(verb: Verb, flag: Flag): string {
  return `    ${patterns(verb, flag)}) ${complete(flag.value!)}; return ;;`
}

function patterns({ path }: Verb, { names }: Flag): string {
  return names.map((name) => shellQuoted(`${path.join(' ')} ${name}`)).join(' | ')
}

function flagsCase(verb: Verb): string {
  const names = verb.flags.flatMap((flag) => flag.names)
  return `      ${shellQuoted(verb.path.join(' '))}) _fleetsie_words ${shellQuoted(names.join('\n'))} ;;`
}

function argumentsCase({ path, holds, args, repeats }: Verb): string {
  const name = shellQuoted(path.join(' '))
  if (holds.length > 0) return `    ${name}) _fleetsie_words ${shellQuoted(holds.join('\n'))} ;;`
  if (args.length === 0) return `    ${name}) ;;`
  if (args.length === 1 && repeats) return `    ${name}) ${complete(args[0]!)} ;;`
  const places = args.map((values, index) => {
    const goesOn = repeats && index === args.length - 1
    return `        ${goesOn ? '*' : index}) ${complete(values)} ;;`
  })
  return `    ${name})\n      case $count in\n${places.join('\n')}\n      esac\n      ;;`
}

function complete(values: Values): string {
  switch (values.from) {
    case 'list':
      return `_fleetsie_words ${shellQuoted(values.list.join('\n'))}`
    case 'files':
      return '_fleetsie_files'
    case 'nothing':
      return ':'
    default:
      return `_fleetsie_ask ${values.from}`
  }
}
