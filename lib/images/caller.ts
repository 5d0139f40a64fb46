/** Who called: under sudo it is the user behind it, to whom the files outside the store go on belonging. */
import { constants } from 'node:fs'
import { open, readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { FleetsieError } from '../errors.ts'

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

/**
 * Sets the mode of what this process has made, and gives it to the caller. By an open file and never by name: the folder
 * is the caller's, who could put a link to a file of root there meanwhile. Fails with E_UNSAFE for such a link.
 */
export async function settle(path: string, mode: number, caller: Caller | undefined): Promise<void> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
  const file = await open(path, flags).catch((error: NodeJS.ErrnoException) => {
    throw error.code === 'ELOOP' ? swapped(path) : error
  })
  try {
    const stats = await file.stat()
    if (caller && !stats.isDirectory() && stats.nlink !== 1) throw swapped(path)
    await file.chmod(mode)
    if (caller) await file.chown(caller.uid, caller.gid)
  } finally {
    await file.close()
  }
}

function swapped(path: string): FleetsieError {
  return new FleetsieError('E_UNSAFE', 'somebody put a link in the place of a file that was just made', {
    file: path,
    hint: 'find out who writes into this folder before you run it as root again',
  })
}

/** `$XDG_CONFIG_HOME/fleetsie`, else `.config/fleetsie` in the caller's home. */
export function configFolder(env: Environment): Promise<string> {
  return baseFolder(env, 'XDG_CONFIG_HOME', '.config')
}

/** `$XDG_CACHE_HOME/fleetsie`, else `.cache/fleetsie` in the caller's home. */
export function cacheFolder(env: Environment): Promise<string> {
  return baseFolder(env, 'XDG_CACHE_HOME', '.cache')
}

/** `$XDG_STATE_HOME/fleetsie`, else `.local/state/fleetsie` in the caller's home. */
export function stateFolder(env: Environment): Promise<string> {
  return baseFolder(env, 'XDG_STATE_HOME', '.local/state')
}

async function baseFolder(env: Environment, variable: string, name: string): Promise<string> {
  const xdg = env[variable]
  // The XDG specification: a relative path is to be ignored.
  if (xdg?.startsWith('/')) return join(xdg, 'fleetsie')
  return join(await callerHome(env), name, 'fleetsie')
}

/** The home folder of the user behind sudo, else this user's. */
export async function callerHome(env: Environment): Promise<string> {
  const caller = callerOf(env)
  return (caller && (await homeOf(caller.uid))) || env['HOME'] || homedir()
}

/** sudo sets HOME to root's. */
async function homeOf(uid: number): Promise<string | undefined> {
  const passwd = await readFile('/etc/passwd', 'utf8').catch(() => '')
  const line = passwd.split('\n').find((candidate) => candidate.split(':')[2] === String(uid))
  return line?.split(':')[5]
}
