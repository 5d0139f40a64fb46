/** A package of the distribution, installed by apt. */
import type { Resource } from './resource.ts'

const check = `command -v apt-get >/dev/null && fact apt yes
if command -v dpkg-query >/dev/null; then
	fact status "$(dpkg-query -W -f='\${db:Status-Status}' "$1" 2>/dev/null)"
elif command -v "$2" >/dev/null; then
	fact status installed
fi`

// What an interrupted run of dpkg has left is finished first. The lists may be old or missing.
const install = `set -eu
command -v apt-get >/dev/null || {
	echo "there is no apt-get to install $1 with: install it by hand" >&2
	exit 1
}
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
exec </dev/null >&2
dpkg --configure -a
get() { apt-get -qq -y --no-install-recommends -o DPkg::Lock::Timeout=120 "$@"; }
get install "$1" || { get update && get install "$1"; }`

/** `program` is what the package is needed for: where there is no dpkg, it alone is looked for. */
export function packageOf(name: string, program = name): Resource {
  return {
    name: `package ${name}`,
    check: { text: check, args: [name, program] },
    diff: (facts) => (facts.get('status') === 'installed' ? undefined : { because: 'it is not installed' }),
    apply: async (place) => {
      await place.asRoot({ text: install, args: [name] })
    },
  }
}
