/** Something that a program does, with a guard that tells whether it is done. */
import type { Resource, Script } from './resource.ts'

export interface CommandOptions {
  /** Ends with 0 when there is nothing to do. It looks, and changes nothing. */
  guard: Script
  does: Script
  /** Why it has to be done, when the guard says so. */
  because: string
}

/** What `does` does is done, by what `guard` says. Both run as root; `name` is for the user to read. */
export function command(name: string, { guard, does, because }: CommandOptions): Resource {
  return {
    name: `command ${name}`,
    check: {
      text: `if (\n${guard.text}\n) >/dev/null 2>&1 </dev/null; then fact done yes; fi`,
      args: guard.args ?? [],
    },
    diff: (facts) => (facts.has('done') ? undefined : { because }),
    apply: async (place) => {
      await place.asRoot(does)
    },
  }
}
