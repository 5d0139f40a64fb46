/** A user with a home, a password and groups. */
import { FleetsieError } from '../../errors.ts'
import type { Resource } from './resource.ts'

// A hash never leaves the machine: only whether there is one.
const check = `getent passwd "$1" >/dev/null || exit 0
fact there yes
fact groups " $(id -nG -- "$1") "
case $(getent shadow "$1" | cut -d: -f2) in
'' | '!'* | '*'*) ;;
*) fact password yes ;;
esac`

// A user whose name is also that of a group that is there gets that group.
const make = `set -eu
exec >&2
umask 022
if ! getent passwd "$1" >/dev/null; then
	if getent group "$1" >/dev/null; then set -- "$1" "$2" -g "$1"; else set -- "$1" "$2" -U; fi
	name=$1 groups=$2
	shift 2
	useradd -m -s /bin/bash "$@" -- "$name"
	set -- "$name" "$groups"
fi
usermod -a -G "$2" -- "$1"`

// `name:password` on stdin: a password is no argument.
const setPassword = `exec chpasswd >&2`

export interface UserOptions {
  groups: readonly string[]
  /** Asked for when the user has none; never kept. */
  password(): Promise<string>
}

/**
 * There is a user with a password of its own and in all of `groups`; more groups are left. Fails with E_INPUT for a password
 * that chpasswd would take for something else.
 */
export function user(name: string, { groups, password }: UserOptions): Resource {
  let secret: string | undefined
  return {
    name: `user ${name}`,
    check: { text: check, args: [name] },
    diff: (facts) => {
      if (!facts.has('there')) return { because: 'there is none' }
      const missing = groups.filter((one) => !facts.get('groups')?.includes(` ${one} `))
      if (missing.length > 0) return { because: `not in group ${missing.join(', ')}` }
      return facts.has('password') ? undefined : { because: 'it has no password' }
    },
    prepare: async (facts) => {
      if (facts.has('password')) return
      secret = await password()
      expectPassword(secret)
    },
    apply: async (place) => {
      await place.asRoot({ text: make, args: [name, groups.join(',')] })
      if (secret !== undefined) await place.asRoot({ text: setPassword }, { stdin: `${name}:${secret}\n` })
    },
  }
}

/** Fails with E_INPUT for what chpasswd would take for something else. */
function expectPassword(secret: string): void {
  if (secret === '') throw new FleetsieError('E_INPUT', 'an empty password is none')
  if (secret.length > 512) throw new FleetsieError('E_INPUT', 'the password is longer than 512 characters')
  if (/\p{Cc}/u.test(secret)) throw new FleetsieError('E_INPUT', 'the password has a control character')
}
