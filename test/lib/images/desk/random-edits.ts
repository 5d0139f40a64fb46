/** Random edits of a merged tree, as a shell script that goes on when an edit has no place. */

import { shellQuoted } from '../../../../lib/formats/shell.ts'
import type { Random } from '../../../helpers/random.ts'

const names = [
  'a',
  'b',
  'c d',
  "it's",
  '#x',
  'back\\slash',
  'new\nline',
  '-dash',
  'ümläut',
  '.hidden',
  'q"q',
  '[x]*',
  '$HOME',
  '.gitignore',
]

/** `paths` are those that are there now. */
export function randomEdit(random: Random, paths: readonly string[]): string {
  const any = (): string => shellQuoted(`./${random.pick(paths)}`)
  const fresh = (): string => {
    const folder = random.pick(['', ...paths])
    return shellQuoted(`./${folder}${folder && '/'}${random.pick(names)}`)
  }
  const text = shellQuoted(random.pick(['', 'one\n', '*\n', 'x'.repeat(random.int(1, 5000))]))
  const mode = random.pick(['644', '600', '755', '4755', '2711', '1777', '0', '700', '111'])
  const edits: (() => string)[] = [
    () => `p=${fresh()}; [ ! -p "$p" ]; [ ! -c "$p" ]; printf %s ${text} > "$p"`,
    () => `p=${any()}; [ -f "$p" ]; printf %s ${text} > "$p"`,
    () => `p=${any()}; [ -f "$p" ]; printf %s ${text} >> "$p"`,
    () => `touch ${any()}`,
    () => `chmod ${mode} ${any()}`,
    () => `chown -h ${random.pick([0, 5, 1000])}:${random.pick([0, 6, 100])} ${any()}`,
    () => `setfattr -h -n user.${random.pick(['a', 'b=c', 'ä'])} -v ${random.pick(['1', '22'])} ${any()}`,
    () => `setfattr -h -x user.note ${any()}`,
    () => `setfattr -h -n security.capability -v 0sAQAAAgAgAAAAAAAAAAAAAAAAAAA= ${any()}`,
    () => `mknod -m ${mode} ${fresh()} ${random.pick(['c 1 3', 'b 259 70000', 'c 4 300', 'p'])}`,
    () => `mkdir -m ${mode} ${fresh()}`,
    () => `mkdir -p ${fresh()}/x/y`,
    () => `rm -rf ${any()}`,
    () =>
      `p=${any()}; rm -r "$p" && mkdir "$p" && ${random.pick(['true', 'echo 1 > "$p/one"', 'mkdir "$p/sub"'])}`,
    () => `p=${any()}; rm -rf "$p" && echo now a file > "$p"`,
    () => `mv -T ${any()} ${fresh()}`,
    () => `mv -T ${any()} ${any()}`,
    () =>
      `ln -sfT ${shellQuoted(random.pick(['x', '/etc', '../a', 'd/sub', ...names]))} ${random.pick([any(), fresh()])}`,
    () => `ln ${any()} ${fresh()}`,
    () => `cp -a ${any()} ${fresh()}`,
    () => `p=${any()}; cp -a "$p" "$p.kept" && rm -r "$p" && mv "$p.kept" "$p"`,
  ]
  return random.pick(edits)()
}
