/** The completion script for zsh, with the description of each word. */

import { shellQuoted } from '../../formats/shell.ts'
import type { Flag, Programs, Values, Verb } from './words.ts'

export function zshScript({ names, short }: Programs, verbs: readonly Verb[]): string {
  const programs = [...names, ...short.keys()].join(' ')
  return `#compdef ${programs}
# zsh completion of fleetsie; \`fleetsie completion --help\` says where it belongs
_fleetsie_ask() {
  local -a found
  found=(\${(f)"$($program completion --list $1 2>/dev/null)"})
  compadd -a found
}
_fleetsie_verbs() {
  local -a verbs
  verbs=(
${verbs
  .filter(({ path }) => path.length === 1)
  .map(({ path, about }) => `    ${shellQuoted(`${path[0]}:${about}`)}`)
  .join('\n')}
  )
  _describe verb verbs
}
${verbs.map(verbFunction).join('\n')}
_fleetsie() {
  local program=$words[1] curcontext=$curcontext state line
  case \${program:t} in
${[...short].map(([name, verb]) => `    ${name}) program=\${program%_*}; _fleetsie_verb_${verb}; return ;;`).join('\n')}
  esac
  _arguments -C '(-h --help)'{-h,--help}'[help]' '(-V --version)'{-V,--version}'[the version]' ':verb:_fleetsie_verbs' '*:: :->rest'
  if [[ $state == rest ]]; then
    (( $+functions[_fleetsie_verb_\${words[1]//-/_}] )) && _fleetsie_verb_\${words[1]//-/_}
  fi
}
if [[ $funcstack[1] == _fleetsie ]]; then
  _fleetsie "$@"
else
  compdef _fleetsie ${programs}
fi
`
}

function verbFunction(verb: Verb, _index: number, verbs: readonly Verb[]): string {
  const name = `_fleetsie_verb_${verb.path.join('_').replaceAll('-', '_')}`
  if (verb.holds.length > 0) {
    const children = verbs.filter(({ path }) => path.length > 1 && path[0] === verb.path[0])
    const cases = children.map(
      ({ path }) => `      ${path.at(-1)}) _fleetsie_verb_${path.join('_').replaceAll('-', '_')} ;;`,
    )
    const names = children.map(({ path, about }) => shellQuoted(`${path.at(-1)}:${about}`)).join(' ')
    return `${name}() {
  local -a names=(${names})
  if (( CURRENT == 2 )); then _describe verb names
  else
    shift words; (( CURRENT-- ))
    case $words[1] in
${cases.join('\n')}
    esac
  fi
}`
  }
  const flags = verb.flags.map(flagSpec)
  const args = verb.args.map((values, index) => {
    const goesOn = verb.repeats && index === verb.args.length - 1
    return shellQuoted(`${goesOn ? '*' : ''}: :${action(values)}`)
  })
  return `${name}() {\n  _arguments -s ${[...flags, ...args].join(' \\\n    ')}\n}`
}

function flagSpec({ names, about, value }: Flag): string {
  const text = `[${about.replace(/[[\]:]/g, '\\$&')}]${value ? `: :${action(value)}` : ''}`
  return names.map((name) => shellQuoted(`(${names.join(' ')})${name}${text}`)).join(' ')
}

function action(values: Values): string {
  switch (values.from) {
    case 'list':
      return `(${values.list.map((word) => word.replace(/[ ()]/g, '\\$&')).join(' ')})`
    case 'files':
      return '_files'
    case 'nothing':
      return ' '
    default:
      return ` _fleetsie_ask ${values.from}`
  }
}
