/** A package of the distribution, installed by apt. */
import type { Resource } from './resource.ts'

/** Seconds for which another program's lock is waited for. A server that has just been rented upgrades itself for minutes. */
const patience = 300

// Sets `holder` to the program that has one of apt's and dpkg's locks, if any does. They are locks of fcntl: the kernel
// lists them by inode, which files of other filesystems may have as well.
const findHolder = `find_holder() {
	holder=
	for file in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock /var/cache/apt/archives/lock; do
		inode=$(stat -c %i "$file" 2>/dev/null) || continue
		for pid in $(awk -v inode="$inode" '$2 == "POSIX" && $6 ~ (":" inode "$") { print $5 }' /proc/locks 2>/dev/null); do
			[ -n "$(find "/proc/$pid/fd" -lname "$file" 2>/dev/null)" ] || continue
			holder="$(cat "/proc/$pid/comm") (process $pid)"
			return
		done
	done
}`

const check = `command -v apt-get >/dev/null && fact apt yes
if command -v dpkg-query >/dev/null; then
	fact status "$(dpkg-query -W -f='\${db:Status-Status}' "$1" 2>/dev/null)"
elif command -v "$2" >/dev/null; then
	fact status installed
fi
${findHolder}
find_holder
[ -z "$holder" ] || fact holder "$holder"`

// What an interrupted run of dpkg has left is finished first. The lists may be old or missing. Only one of apt's locks is
// one that apt can be told to wait for. needrestart only lists: to restart services is the administrator's affair.
const install = `set -eu
limit=$2
command -v apt-get >/dev/null || {
	echo "there is no apt-get to install $1 with: install it by hand" >&2
	exit 1
}
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l LC_ALL=C
exec </dev/null >&2
${findHolder}
waited=0
while find_holder && [ -n "$holder" ]; do
	[ "$waited" -lt "$limit" ] || {
		echo "$holder has held apt's lock for $limit s: run this again when it has ended"
		exit 1
	}
	sleep 1
	waited=$((waited + 1))
done
dpkg --configure -a
get() { apt-get -qq -y --no-install-recommends -o DPkg::Lock::Timeout="$limit" "$@"; }
get install "$1" || { get update && get install "$1"; }`

export interface PackageOptions {
  /** What the package is needed for, unless its name says it: where there is no dpkg, it alone is looked for. */
  program?: string
  /** Seconds. */
  lockTimeout?: number
}

/** It is installed. To apply it fails with E_STAGE without apt, or when another program keeps apt's locks too long. */
export function packageOf(
  name: string,
  { program = name, lockTimeout = patience }: PackageOptions = {},
): Resource {
  return {
    name: `package ${name}`,
    check: { text: check, args: [name, program] },
    diff: (facts) => {
      if (facts.get('status') === 'installed') return undefined
      const holder = facts.get('holder')
      const wait = holder === undefined ? '' : `; ${holder} is installing something, and is waited for`
      return { because: `it is not installed${wait}` }
    },
    apply: async (place) => {
      await place.asRoot({ text: install, args: [name, String(lockTimeout)] })
    },
  }
}
