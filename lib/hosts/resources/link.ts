/** A symbolic link. What stands in its place is kept as NAME.saved_TIME. */
import { decoded, type Resource } from './resource.ts'

const check = `if [ -L "$1" ]; then
	readlink -n -- "$1" | encoded target
elif [ -e "$1" ]; then
	fact other yes
fi`

const put = `set -eu
new=$1.fleetsie-new
rm -rf -- "$new"
ln -s -- "$2" "$new"
if [ ! -L "$1" ] && [ -e "$1" ]; then mv -T -- "$1" "$1.saved_$(date +%s)"; fi
mv -fT -- "$new" "$1"
sync -- "\${1%/*}"`

export function link(path: string, target: string): Resource {
  return {
    name: `link ${path}`,
    check: { text: check, args: [path] },
    diff: (facts) => {
      const before = decoded(facts, 'target')
      if (before === target) return undefined
      if (before !== undefined) return { because: `it leads to ${before}, not ${target}` }
      return {
        because: facts.has('other')
          ? 'a file stands there; it will be kept as *.saved_TIME'
          : 'it is missing',
      }
    },
    apply: async (place) => {
      await place.asRoot({ text: put, args: [path, target] })
    },
  }
}
