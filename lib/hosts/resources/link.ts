/** A symbolic link. What stands in its place is kept as NAME.saved_TIME. */
import { decoded, type Resource } from './resource.ts'

const check = `if [ -L "$1" ]; then
	readlink -n -- "$1" | encoded target
elif [ -e "$1" ]; then
	fact other yes
fi`

/** A function of sh, `place_link PATH TARGET`: in one step, but where what stands there has to go aside. */
export const placeLink = `place_link() {
	rm -rf -- "$1.fleetsie-new"
	ln -s -- "$2" "$1.fleetsie-new"
	if [ ! -L "$1" ] && [ -e "$1" ]; then mv -T -- "$1" "$1.saved_$(date +%s)"; fi
	mv -fT -- "$1.fleetsie-new" "$1"
	sync -- "\${1%/*}"
}`

const put = `set -eu
${placeLink}
place_link "$1" "$2"`

/** `path` is a link to `target`, which need not be there. */
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
