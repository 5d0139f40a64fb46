/**
 * Which devices hold their tunnel, by what fleetsie_login keeps in /run/fleetsie/dev/FLEET. The fleet's own account
 * writes there, which its devices log in to: nothing is followed, nothing long is read, and only what has the form of
 * an answer is one.
 */
import { closeSync, constants, openSync, readdirSync, readlinkSync, readSync } from 'node:fs'
import { join } from 'node:path'

export interface Presence {
  /** Whether a session lives. Otherwise this is about the last one. */
  online: boolean
  port: number | undefined
  /** Unix seconds: since when it is connected, or when it was last. */
  at: number | undefined
  from: string | undefined
  user: string | undefined
}

/** Where to look; tests have folders of their own. */
export interface PresencePlaces {
  /** `/run/fleetsie/dev` */
  run: string
  /** `/proc` */
  proc: string
}

const presencePlaces: PresencePlaces = { run: '/run/fleetsie/dev', proc: '/proc' }

/** A session's few lines are below this; bytes. */
const limit = 512

/** The devices of a fleet by host name, those that were never there since the server started left out. */
export function presenceOf(fleet: string, places: PresencePlaces = presencePlaces): Map<string, Presence> {
  const folder = join(places.run, fleet)
  const found = new Map<string, Presence>()
  const device = new RegExp(`^\\.(${fleet}-[1-9]\\d{0,8})(\\.last)?$`)
  for (const name of names(folder)) {
    const [, hostname, last] = device.exec(name) ?? []
    if (hostname === undefined || found.get(hostname)?.online) continue
    const told = lines(join(folder, name))
    const from = /^[0-9a-fA-F.:]{2,45}$/.exec(told.get('ip') ?? '')?.[0]
    const user = /^[a-z_][a-z0-9_-]{0,31}$/.exec(told.get('user') ?? '')?.[0]
    const at = number(told.get(last ? 'until' : 'since'))
    const port = last ? undefined : portOf(join(folder, hostname))
    const lives = !last && isSession(told.get('pid'), fleet, hostname, port, places)
    if (!last && !lives) continue
    found.set(hostname, { online: lives, port, at, from, user })
  }
  return found
}

/** Whether a session of this device lives, as `presenceOf` says it. */
export function isConnected(
  fleet: string,
  hostname: string,
  places: PresencePlaces = presencePlaces,
): boolean {
  const folder = join(places.run, fleet)
  const port = portOf(join(folder, hostname))
  if (port === undefined) return false
  return isSession(lines(join(folder, `.${hostname}`)).get('pid'), fleet, hostname, port, places)
}

/** The program may have been killed with its links left behind, and its number given to another. */
function isSession(
  pid: string | undefined,
  fleet: string,
  hostname: string,
  port: number | undefined,
  { proc }: PresencePlaces,
): boolean {
  if (port === undefined || pid === undefined || !/^[1-9]\d{0,9}$/.test(pid)) return false
  const command = head(join(proc, pid, 'cmdline'))
  return command.replaceAll('\0', ' ').includes(`fleetsie_login ${fleet} ${hostname} ${port} `)
}

function names(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    // The fleet is new, or the server has just started.
    return []
  }
}

function portOf(link: string): number | undefined {
  try {
    return number(readlinkSync(link))
  } catch {
    return undefined
  }
}

function number(text: string | undefined): number | undefined {
  return text !== undefined && /^[1-9]\d{0,10}$/.test(text) ? Number(text) : undefined
}

/** `name value` lines of a small plain file. */
function lines(path: string): Map<string, string> {
  const pairs = head(path)
    .split('\n')
    .map((line) => /^([a-z]+) (.+)$/.exec(line))
  return new Map(pairs.flatMap((pair) => (pair ? [[pair[1]!, pair[2]!] as const] : [])))
}

function head(path: string): string {
  let file: number | undefined
  try {
    // A fifo in its place would be waited for.
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    const bytes = Buffer.alloc(limit)
    return bytes.toString('utf8', 0, readSync(file, bytes, 0, limit, null))
  } catch {
    return ''
  } finally {
    if (file !== undefined) closeSync(file)
  }
}
