/** A connection as the resources use it. */
import { FleetsieError } from '../errors.ts'
import type { Place, Script } from './resources/resource.ts'
import type { Host, RemoteOptions } from './ssh/types.ts'

/** `again` makes a new connection like that of `host`. */
export function placeAt(host: Host, { again, signal }: Pick<Place, 'again' | 'signal'>): Place {
  const asRoot = async (
    { text, args = [] }: Script,
    how: Omit<RemoteOptions, 'sudo' | 'signal'> = {},
  ): ReturnType<Place['asRoot']> => {
    const result = await host.script(text, args, { ...how, sudo: true, signal })
    if (result.code === 0) return result
    const said = result.stderr.trimEnd().split('\n').slice(-8).join('\n')
    const end = result.killedBy ? `was ended by ${result.killedBy}` : `ended with exit code ${result.code}`
    if (/No space left on device|Disk quota exceeded/.test(said)) {
      throw new FleetsieError('E_IO', said, { hint: `free some space on ${host.name}` })
    }
    throw new FleetsieError('E_STAGE', said || `a script on ${host.name} ${end}`)
  }
  return { host, signal, asRoot, again }
}
