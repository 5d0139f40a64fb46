/** A public key that may log in as a user: a line of its authorized_keys. Lines of others are left alone. */
import { FleetsieError } from '../../errors.ts'
import type { Resource } from './resource.ts'

// Lines may begin with options, so the key itself is looked for. $2… are base64: no pattern.
const check = `home=$(getent passwd "$1" | cut -d: -f6)
keys=$home/.ssh/authorized_keys
[ -n "$home" ] && [ -f "$keys" ] && [ ! -L "$keys" ] || exit 0
fact modes "$(stat -c %U:%a -- "$home/.ssh") $(stat -c %U:%a -- "$keys")"
shift
for key in "$@"; do
	if grep -v '^[[:space:]]*#' -- "$keys" | grep -qF -- "$key"; then fact there yes; fi
done`

/** As that user, whose folder it is: a link there leads no further than the user's own rights. */
const put = `set -eu
home=$(getent passwd "$1" | cut -d: -f6)
exec runuser -u "$1" -- sh -c 'set -eu
umask 077
cd "$1"
mkdir -p .ssh
chmod 700 .ssh
keys=.ssh/authorized_keys
new=$keys.fleetsie-new
rm -f -- "$new"
trap "rm -f -- .ssh/authorized_keys.fleetsie-new" EXIT
if [ -e "$keys" ]; then cat -- "$keys" >"$new"; else : >"$new"; fi
if ! grep -v "^[[:space:]]*#" -- "$new" | grep -qF -- "$3"; then
	[ -z "$(tail -c 1 -- "$new")" ] || echo >>"$new"
	printf "%s\\n" "$2" >>"$new"
fi
sync -- "$new"
mv -fT -- "$new" "$keys"' sh "$home" "$2" "$3"`

/**
 * One of these lines, `TYPE BASE64 [COMMENT]`, has to be there; where none is, the first is added. Fails with E_INPUT
 * for what is no such line.
 */
export function key(user: string, lines: readonly [string, ...string[]]): Resource {
  const parts = lines.map(base64Of)
  return {
    name: `key of ${user}`,
    check: { text: check, args: [user, ...parts] },
    diff: (facts) => {
      if (!facts.has('there')) return { because: `${shortKey(lines[0])} may not log in as ${user} yet` }
      if (facts.get('modes') === `${user}:700 ${user}:600`) return undefined
      return { because: 'others may change the file of the keys, or its owner is another' }
    },
    apply: async (place, facts) => {
      if (facts.has('there')) await place.asRoot({ text: mend, args: [user] })
      await place.asRoot({ text: put, args: [user, lines[0], parts[0]!] })
    },
  }
}

// Only what belongs to another than the user: what the user cannot mend. Who owns the folder may put a link in its place:
// it is entered first, and what was entered is what is changed.
const mend = `set -eu
home=$(getent passwd "$1" | cut -d: -f6)
cd -P -- "$home"
home=$(pwd -P)
cd -P -- .ssh
[ "$(pwd -P)" = "$home/.ssh" ] || { echo "$home/.ssh is a link" >&2 && exit 1; }
[ ! -L authorized_keys ] || { echo "$home/.ssh/authorized_keys is a link" >&2 && exit 1; }
chown -- "$1:" .
chown -h -- "$1:" authorized_keys`

function base64Of(line: string): string {
  const found = /^(?:ssh|ecdsa|sk)-[\w@.-]+ ([A-Za-z0-9+/]{40,}={0,2})(?: [^\p{Cc}]*)?$/u.exec(line)
  if (found && line.length <= 16_384) return found[1]!
  throw new FleetsieError(
    'E_INPUT',
    'this is no public key of OpenSSH: a line such as `ssh-ed25519 AAAA… you`',
  )
}

function shortKey(line: string): string {
  const [type, base64, ...comment] = line.split(' ')
  return comment.length > 0 ? `${type} ${comment.join(' ')}` : `${type} …${base64!.slice(-8)}`
}
