/** Who called: under sudo it is the user behind it, to whom the files outside the store go on belonging. */
import { chown, readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'

type Environment = Readonly<Record<string, string | undefined>>

/** The user behind sudo; undefined when this process is nobody else's. */
export interface Caller {
  uid: number
  gid: number
}

export function callerOf(env: Environment): Caller | undefined {
  if (process.geteuid?.() !== 0) return undefined
  const uid = id(env['SUDO_UID'])
  const gid = id(env['SUDO_GID'])
  return uid && gid !== undefined ? { uid, gid } : undefined
}

function id(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,10}$/.test(text) ? Number(text) : undefined
}

/** Gives a file that this process made to the caller. */
export async function giveToCaller(path: string, caller: Caller | undefined): Promise<void> {
  if (caller) await chown(path, caller.uid, caller.gid)
}

/** `$XDG_CONFIG_HOME/fleetsie`, else `.config/fleetsie` in the caller's home. */
export function configFolder(env: Environment): Promise<string> {
  return baseFolder(env, 'XDG_CONFIG_HOME', '.config')
}

/** `$XDG_CACHE_HOME/fleetsie`, else `.cache/fleetsie` in the caller's home. */
export function cacheFolder(env: Environment): Promise<string> {
  return baseFolder(env, 'XDG_CACHE_HOME', '.cache')
}

async function baseFolder(env: Environment, variable: string, name: string): Promise<string> {
  const xdg = env[variable]
  // The XDG specification: a relative path is to be ignored.
  if (xdg?.startsWith('/')) return join(xdg, 'fleetsie')
  const caller = callerOf(env)
  const home = (caller && (await homeOf(caller.uid))) || env['HOME'] || homedir()
  return join(home, name, 'fleetsie')
}

/** sudo sets HOME to root's. */
async function homeOf(uid: number): Promise<string | undefined> {
  const passwd = await readFile('/etc/passwd', 'utf8').catch(() => '')
  const line = passwd.split('\n').find((candidate) => candidate.split(':')[2] === String(uid))
  return line?.split(':')[5]
}
