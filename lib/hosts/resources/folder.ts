/** A folder with its owner and mode; what is in it is left alone. */
import { ownerDifference } from './file.ts'
import type { Resource } from './resource.ts'

const check = `if [ -d "$1" ] && [ ! -L "$1" ]; then
	fact type folder
	fact owner "$(stat -c %U:%G -- "$1")"
	fact mode "$(stat -c %a -- "$1")"
elif [ -e "$1" ] || [ -L "$1" ]; then
	fact type other
fi`

// Its owner may have put a link in its place: it is entered first, and what was entered is what is changed.
const make = `set -eu
umask 022
parent=\${1%/*}
mkdir -p -- "\${parent:-/}"
cd -P -- "\${parent:-/}"
path=$(pwd -P)
path=\${path%/}/\${1##*/}
[ -e "$path" ] || mkdir -- "$path"
cd -P -- "$path"
if [ "$(pwd -P)" != "$path" ]; then
	echo "a link leads to $1" >&2
	exit 1
fi
chown -- "$2" .
chmod -- "$3" .`

/** There is a folder, `root:root` unless said; `mode` is octal. To apply it fails with E_STAGE where a link leads elsewhere. */
export function folder(path: string, options: { owner?: string; mode: string }): Resource {
  const { owner = 'root:root', mode } = options
  return {
    name: `folder ${path}`,
    check: { text: check, args: [path] },
    diff: (facts) => {
      if (!facts.has('type')) return { because: 'it is missing' }
      if (facts.get('type') === 'other') return { because: 'it is no folder' }
      return ownerDifference(facts, { owner, mode })
    },
    apply: async (place) => {
      await place.asRoot({ text: make, args: [path, owner, mode] })
    },
  }
}
