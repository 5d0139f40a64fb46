/** Which devices of a fleet hold their tunnel now, as the links of the server say that fleetsie_login keeps. */
import { FleetsieError } from '../../errors.ts'
import type { Host } from '../../hosts/ssh/types.ts'

export interface Connected {
  hostname: string
  port: number
}

// One process for ten thousand links. No folder: no device was ever connected since the server started.
const script = `cd "/run/fleetsie/dev/$1" 2>/dev/null || { [ ! -d "/run/fleetsie/dev/$1" ]; exit; }
find . -maxdepth 1 -type l -printf '%f %l\\n'`

/** The devices of `fleet` that are connected. Fails with E_RIGHTS where the user of this connection may not see them. */
export async function connectedDevices(host: Host, fleet: string, signal: AbortSignal): Promise<Connected[]> {
  const { code, stdout } = await host.script(script, [fleet], { signal, timeout: 30_000 })
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

/** What the links say is written by the account that the devices log in to: nothing else is taken from there. */
function connected(line: string, fleet: string): Connected[] {
  const [, hostname, digits] = /^(\w+-\d{1,5}) (2\d{4})$/.exec(line) ?? []
  const port = Number(digits)
  if (!hostname?.startsWith(`${fleet}-`) || !(port > 20_000 && port < 30_000)) return []
  return [{ hostname, port }]
}
