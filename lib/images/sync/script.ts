/** The shell programs that put a push in its place on the device: POSIX sh with what busybox has. */

import { shellQuoted } from '../../formats/shell.ts'
import type { Item } from './item.ts'
import type { Removal, Steps } from './steps.ts'

/** The last member of a push. Without it nothing is touched: half a push has none. */
export const planName = 'plan'
/** Names of the other members sort before it. */
export const memberName = (index: number): string => `${index}`.padStart(9, '0')

const done = 'fleetsie-sync-done'

/**
 * Unpacks stdin into a folder of the same filesystem, from which files are renamed into place, and runs the plan. As
 * `probeCommand`, one line for any shell. What an earlier push left behind when it was ended is cleared away.
 */
export function driverCommand(mount: string, how: { sudo: boolean; gnuTar: boolean; fat: boolean }): string {
  const owners = how.fat ? '-o --no-same-permissions' : how.gnuTar ? '--xattrs "--xattrs-include=*"' : ''
  const script = [
    'umask 077',
    'M=$1',
    'for d in "$M"/.fleetsie-sync-*; do if [ -d "$d" ]; then [ -d "/proc/$' +
      '{d##*-}" ] || rm -rf "$d"; fi; done',
    'S="$M/.fleetsie-sync-$$"',
    '[ -e "$S" ] && rm -rf "$S"',
    'mkdir "$S" || exit 1',
    'clear() { cd /; rm -rf "$S"; }',
    'trap clear EXIT',
    'trap "exit 1" HUP INT TERM',
    `tar -x -f - -C "$S" ${owners} || exit 1`,
    'umask 022',
    `. "$S/${planName}"`,
  ].join('; ')
  return `exec ${how.sudo ? 'sudo -n ' : ''}sh -c '${script}' sh '${mount}'`
}

/** How many names went away, when `output` says that the plan has come to its end. */
export function deletedOf(output: string): number | undefined {
  const match = new RegExp(`^${done} (\\d+)$`, 'm').exec(output)
  return match ? Number(match[1]) : undefined
}

/** $M is where the partition is mounted, nothing for the root, and $S the folder of the members. */
const functions = `
n=0
die() { printf '%s\\n' "$1" >&2; exit 1; }

# Goes to the folder in which the next names are.
at() {
  [ -d "$M$1/" ] || mkdir -p -- "$M$1" || exit 1
  cd -P -- "$M$1/" || exit 1
  inside "$1"
  here=yes
}
# The same, where a missing folder means that there is nothing to do.
seek() {
  here=
  [ -d "$M$1/" ] || return 0
  cd -P -- "$M$1/" || exit 1
  inside "$1"
  here=yes
}
# An absolute link on another partition would lead to the root filesystem.
inside() {
  [ -z "$M" ] && return 0
  case $(pwd -P)/ in "$M"/*) ;; *) die "$M$1 leads out of $M" ;; esac
}
# What is mounted there or below stays.
empty() {
  [ "$(stat -c %d "$1")" = "$(stat -c %d .)" ] || return 1
  find "$1" -xdev '!' -type d -exec rm -f {} +
  find "$1" -xdev -depth -type d -exec rmdir {} +
  [ ! -e "$1" ]
}
gone() {
  [ "$here" ] || return 0
  if [ -d "./$1" ] && [ ! -L "./$1" ]; then
    n=$((n + 1))
    empty "./$1" || die "$PWD/$1 cannot be removed"
  elif [ -e "./$1" ] || [ -L "./$1" ]; then
    n=$((n + 1))
    rm -f "./$1" || exit 1
  fi
}
# Files that nobody pushed keep their folder.
leave() {
  [ "$here" ] && [ -d "./$1" ] || return 0
  rmdir "./$1" 2>/dev/null && n=$((n + 1))
  return 0
}
put() {
  if [ -L "./$2" ]; then
    # Over a link to a folder, mv without -T moves into that folder.
    [ ! -d "./$2" ] || mv -fT "$S/$1" "./$2" 2>/dev/null || rm -f "./$2" || exit 1
    [ ! -e "$S/$1" ] && [ ! -L "$S/$1" ] || mv -f "$S/$1" "./$2" || exit 1
  else
    [ ! -d "./$2" ] || empty "./$2" || die "$PWD/$2 cannot be removed"
    mv -f "$S/$1" "./$2" || exit 1
  fi
}
folder() {
  if [ -d "./$2" ]; then
    [ "$3" ] && [ ! -L "./$2" ] || return 0
    chown "$4" "./$2" && chmod "$3" "./$2" || exit 1
    # Not every system has setfattr.
    [ -z "$5" ] || tar -C "$S/$1" --xattrs --no-recursion -cf - . | tar -C "./$2" --xattrs '--xattrs-include=*' -xf - || exit 1
  else
    rm -f "./$2" || exit 1
    mv -f "$S/$1" "./$2" || exit 1
  fi
}
link() {
  rm -f "$S/link"
  ln "$M$1" "$S/link" || exit 1
  put link "$2"
}
stamp() { touch -d "@$2" "./$1" || exit 1; }
units() {
  [ -d /run/systemd/system ] || return 0
  systemctl daemon-reload || die 'systemctl daemon-reload failed'
}
`

/** The plan for `steps`, bytes as latin1; `names` are the members that hold the items, none for another name of a file. */
export function planScript(steps: Steps, names: ReadonlyMap<Item, string>, fat: boolean): string {
  const lines: string[] = [functions]
  let folder: string | undefined
  const go = (path: string, verb: 'at' | 'seek'): string => {
    const cut = path.lastIndexOf('/')
    const next = `${verb} ${shellQuoted(`/${path.slice(0, Math.max(cut, 0))}`.replace(/^\/$/, ''))}`
    if (next !== folder) lines.push(next)
    folder = next
    return shellQuoted(path.slice(cut + 1))
  }
  for (const removal of steps.removals) lines.push(removalLine(removal, go(removal.path, 'seek')))
  // The device's clock: programs notice a changed file by its time.
  const unsaid = steps.items.filter((item) => names.has(item) && item.type !== 'symlink' && !said(item))
  for (let index = 0; index < unsaid.length; index += 500) {
    const some = unsaid.slice(index, index + 500).map((item) => names.get(item))
    lines.push(`(cd "$S" && touch ${some.join(' ')}) || exit 1`)
  }
  for (const item of steps.items) {
    if (item.linkTo !== undefined) continue
    const name = go(item.path, 'at')
    const member = names.get(item)
    if (item.type !== 'directory') lines.push(`put ${member} ${name}`)
    else lines.push(fat ? `folder ${member} ${name}` : folderLine(item, member!, name))
  }
  for (const item of steps.items) {
    if (item.linkTo === undefined) continue
    const name = go(item.path, 'at')
    lines.push(`link ${shellQuoted(`/${item.linkTo}`)} ${name}`)
  }
  for (const item of steps.items.filter(({ type }) => type === 'directory').reverse()) {
    if (!said(item)) continue
    const name = go(item.path, 'at')
    lines.push(`stamp ${name} ${item.attributes.mtime.seconds}`)
  }
  if ([...steps.items, ...steps.removals].some(({ path }) => unitFile.test(path))) lines.push('units')
  // A device that loses its power now has what the line on the screen says.
  lines.push('sync </dev/null >/dev/null 2>&1 &', `echo ${done} $n`, '')
  return lines.join('\n')
}

const unitFile = /^(?:etc|run|lib|usr\/lib|usr\/local\/lib)\/systemd\/system(?:\/|$)/

const said = ({ attributes: { mtime } }: Item): boolean => mtime.seconds !== 0 || mtime.nanoseconds !== 0

const removalLine = ({ ifEmpty }: Removal, name: string): string => `${ifEmpty ? 'leave' : 'gone'} ${name}`

function folderLine({ attributes }: Item, member: string, name: string): string {
  const { mode, uid, gid, xattrs } = attributes
  const more = xattrs.size > 0 ? ' xattrs' : ''
  return `folder ${member} ${name} ${mode.toString(8).padStart(4, '0')} ${uid}:${gid}${more}`
}
