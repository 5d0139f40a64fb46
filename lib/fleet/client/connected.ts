/** Which devices of a fleet hold their tunnel now, as the links of the server say that fleetsie_login keeps. */
import { FleetsieError } from '../../errors.ts'
import type { Host } from '../../hosts/ssh/types.ts'
import { fleetPattern } from '../names.ts'

export interface Connected {
  hostname: string
  port: number
}

/** The script's exit code for a fleet that the server does not have. */
const noFleet = 3

// One process for ten thousand links. With a folder in one of the two places only, no device was ever connected since
// the server started.
const script = `cd "/run/fleetsie/dev/$1" 2>/dev/null || {
  [ ! -d "/run/fleetsie/dev/$1" ] || exit 1
  [ ! -d "/home/fleetsie/fleets/$1" ] || exit 0
  ls /home/fleetsie/fleets 2>/dev/null
  exit ${noFleet}
}
find . -maxdepth 1 -type l -printf '%f %l\\n'`

/**
 * The devices of `fleet` that are connected. Fails with E_RIGHTS where the user of this connection may not see them, and
 * with E_INPUT where the server has no such fleet.
 */
export async function connectedDevices(host: Host, fleet: string, signal: AbortSignal): Promise<Connected[]> {
  const { code, stdout } = await host.script(script, [fleet], { signal, timeout: 30_000 })
  if (code === noFleet) throw unknown(host, fleet, stdout)
  if (code !== 0) {
    throw new FleetsieError('E_RIGHTS', `${host.user} may not see on ${host.host} what is connected`, {
      hint: `log in as fleetsie@${host.host}`,
    })
  }
  return stdout
    .toString()
    .split('\n')
    .flatMap((line) => connected(line, fleet))
}

function unknown(host: Host, fleet: string, stdout: Buffer): FleetsieError {
  const others = stdout
    .toString()
    .split('\n')
    .filter((name) => fleetPattern.test(name))
  return new FleetsieError('E_INPUT', `there is no fleet ${fleet} on ${host.host}`, {
    hint: others.length > 0 ? others.join(', ') : `make it: fleetsie gen ${fleet} HOST NUM`,
  })
}

/** What the links say is written by the account that the devices log in to: nothing else is taken from there. */
function connected(line: string, fleet: string): Connected[] {
  const [, hostname, digits] = /^(\w+-\d{1,5}) (2\d{4})$/.exec(line) ?? []
  const port = Number(digits)
  if (!hostname?.startsWith(`${fleet}-`) || !(port > 20_000 && port < 30_000)) return []
  return [{ hostname, port }]
}
