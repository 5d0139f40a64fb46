/** What this machine knows of each fleet: `fleets/FLEET@HOST/` in the caller's configuration, and who its last host was. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import { callerOf, configFolder } from '../../images/caller.ts'
import { makeFolder, replaceWithBytes } from '../../images/replace-file.ts'
import { checkFleet, fleetPattern, parseFleetHost } from '../names.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** A fleet and the server that it is on, as the user names it: `HOST`, `HOST:PORT`, `[v6]:PORT`. */
export interface FleetPlace {
  fleet: string
  host: string
}

/** The folder of a fleet, made when it is not there: login CA, known hosts. Mode 0700. */
export async function fleetFolder(env: Environment, { fleet, host }: FleetPlace): Promise<string> {
  check({ fleet, host })
  const folder = join(await fleetsFolder(env), `${fleet}@${host}`)
  await makeFolder(folder, 0o700, callerOf(env))
  return folder
}

/** Keeps `host` as the one that is meant when the fleet is named alone. */
export async function rememberHost(env: Environment, place: FleetPlace): Promise<void> {
  await fleetFolder(env, place)
  if ((await lastHost(env, place.fleet)) === place.host) return
  const path = hostFile(await fleetsFolder(env), place.fleet)
  await replaceWithBytes(path, Buffer.from(`${place.host}\n`), { mode: 0o600, caller: callerOf(env) })
}

/** The host that was last used for a fleet, if any was. */
async function lastHost(env: Environment, fleet: string): Promise<string | undefined> {
  const text = await readFile(hostFile(await fleetsFolder(env), fleet), 'utf8').catch(() => '')
  return text.trim() || undefined
}

/**
 * Which fleet on which server `FLEET`, `FLEET@HOST` or `FLEET` and `--host HOST` mean. Fails with E_USAGE where no host
 * is said and none is known, E_INPUT for names that cannot be.
 */
export async function findPlace(env: Environment, name: string, host?: string): Promise<FleetPlace> {
  const at = name.indexOf('@')
  const fleet = at < 0 ? name : name.slice(0, at)
  const said = at < 0 ? host : name.slice(at + 1)
  if (said !== undefined) return check({ fleet, host: said })
  const known = await lastHost(env, checkFleet(fleet))
  if (known !== undefined) return check({ fleet, host: known })
  const others = (await knownFleets(env)).slice(0, 5).map((place) => `${place.fleet}@${place.host}`)
  throw new FleetsieError('E_USAGE', `no server is known here for a fleet ${fleet}`, {
    hint: `${fleet}@HOST, which is remembered${others.length > 0 ? `; known are ${others.join(', ')}` : ''}`,
  })
}

/** Every fleet that was used from here, with its last host, by name. */
export async function knownFleets(env: Environment): Promise<FleetPlace[]> {
  const names = await readdir(await fleetsFolder(env)).catch(() => [])
  const found = await Promise.all(
    names
      .filter((name) => name.endsWith('.host'))
      .map(async (name) => {
        const fleet = name.slice(0, -'.host'.length)
        if (!fleetPattern.test(fleet)) return []
        const host = await lastHost(env, fleet)
        return host === undefined ? [] : [{ fleet, host }]
      }),
  )
  return found.flat().sort((a, b) => (a.fleet < b.fleet ? -1 : 1))
}

async function fleetsFolder(env: Environment): Promise<string> {
  return join(await configFolder(env), 'fleets')
}

function hostFile(folder: string, fleet: string): string {
  return join(folder, `${fleet}.host`)
}

/** What becomes a folder's name and an argument of ssh. */
function check({ fleet, host }: FleetPlace): FleetPlace {
  parseFleetHost(host)
  return { fleet: checkFleet(fleet), host }
}
