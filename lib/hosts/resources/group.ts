/** A group of the machine. */
import type { Resource } from './resource.ts'

const check = `getent group "$1" >/dev/null && fact there yes`

/** There is a group of that name; one that is made gets a number of the system's. */
export function group(name: string): Resource {
  return {
    name: `group ${name}`,
    check: { text: check, args: [name] },
    diff: (facts) => (facts.has('there') ? undefined : { because: 'there is none' }),
    apply: async (place) => {
      await place.asRoot({ text: 'groupadd --system -- "$1"', args: [name] })
    },
  }
}
