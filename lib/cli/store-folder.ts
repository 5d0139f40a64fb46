/** Where the store is: $FLEETSIE_STORE, else `fleetsie` below the cache folder of the user, or of the user behind sudo. */
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'

export function storeFolder(env: NodeJS.ProcessEnv = process.env): string {
  if (env['FLEETSIE_STORE']) return resolve(env['FLEETSIE_STORE'])
  const caller = callersHome(env)
  // sudo keeps XDG_CACHE_HOME of neither: under it, only the caller's home counts.
  if (caller !== undefined) return join(caller, '.cache', 'fleetsie')
  return join(env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'fleetsie')
}

/** The home folder of who called sudo; undefined when nobody did. */
export function callersHome(env: NodeJS.ProcessEnv): string | undefined {
  const uid = env['SUDO_UID']
  if (process.geteuid?.() !== 0 || uid === undefined || uid === '0') return undefined
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((entry) => entry.split(':')[2] === uid)
  return line?.split(':')[5]
}
