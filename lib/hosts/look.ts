/** Looks at all resources of a machine in one round trip. */
import { FleetsieError } from '../errors.ts'
import type { Facts, Place, Resource } from './resources/resource.ts'

// What the checks may call. A value is one line; `encoded` takes any bytes.
const prelude = `set -u
LC_ALL=C
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH
fact() { printf '%s %s\\n' "$1" "$2"; }
encoded() { printf '%s %s\\n' "$1" "$(base64 | tr -d '\\n')"; }
`

/** The facts of each resource, in their order. Fails with E_STAGE when a check does not come to its end. */
export async function look(place: Place, resources: readonly Resource[]): Promise<Facts[]> {
  const args: string[] = []
  const blocks = resources.map(({ check }, index) => {
    const block = `printf '@%s\\n' ${index}\n(\nshift ${args.length}\n${check.text}\n)\n`
    args.push(...(check.args ?? []))
    return block
  })
  const text = `${prelude}${blocks.join('')}printf '@end\\n'\n`
  const { stdout } = await place.asRoot({ text, args })
  return factsOf(stdout.toString('utf8'), resources)
}

function factsOf(text: string, resources: readonly Resource[]): Facts[] {
  const all = resources.map(() => new Map<string, string>())
  let current: Map<string, string> | undefined
  let complete = false
  for (const line of text.split('\n')) {
    const space = line.indexOf(' ')
    if (line === '@end') complete = true
    else if (line.startsWith('@')) current = all[Number(line.slice(1))]
    else if (space > 0) current?.set(line.slice(0, space), line.slice(space + 1))
  }
  if (!complete) throw new FleetsieError('E_STAGE', 'the look at the machine was cut off')
  return all
}
