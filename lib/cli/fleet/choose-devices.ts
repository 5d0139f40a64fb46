/** Which devices of a fleet `devices` shows. */
import type { ListedDevice } from '../../fleet/server/protocol.ts'

export interface Choice {
  online?: boolean
  away?: boolean
  unclaimed?: boolean
  revoked?: boolean
  /** A pattern of host names. */
  name?: string
}

/** States add up, and none is all of them; a pattern narrows. */
export function chosenBy({
  online,
  away,
  unclaimed,
  revoked,
  name,
}: Choice): (device: ListedDevice) => boolean {
  const states = new Set([
    ...(online ? ['online'] : []),
    ...(away ? ['claimed'] : []),
    ...(unclaimed ? ['unclaimed'] : []),
    ...(revoked ? ['revoked'] : []),
  ])
  const pattern = name === undefined ? undefined : globPattern(name)
  return ({ state, hostname }) =>
    (states.size === 0 || states.has(state)) && (pattern === undefined || pattern.test(hostname))
}

/** `*` is anything, `?` one character. */
function globPattern(glob: string): RegExp {
  const escaped = glob.slice(0, 100).replace(/[.+^${}()|[\]\\]/g, '\\$&')
  return new RegExp(`^${escaped.replace(/\*+/g, '.*').replaceAll('?', '.')}$`)
}
