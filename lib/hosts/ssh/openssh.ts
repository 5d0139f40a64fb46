/** OpenSSH's own small programs, which know its files better than we do. */
import { homedir, userInfo } from 'node:os'
import { join } from 'node:path'
import { type Run, runner } from '../../engine/process.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** What `ssh` and a ProxyCommand may look for; all else comes from the user's ssh_config. */
const passed = ['HOME', 'USER', 'LOGNAME', 'SHELL', 'SSH_AUTH_SOCK', 'KRB5CCNAME', 'XDG_RUNTIME_DIR']

/** Runs OpenSSH's programs with no more of `env` than they need; `signal` ends them. */
export function openSsh(env: Environment, signal: AbortSignal): Run {
  const known = passed.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]] as const]))
  return runner({ home: '/', signal, env: { HOME: homeOf(env), ...Object.fromEntries(known) } })
}

/** OpenSSH takes the home folder from the user database; a HOME that says otherwise wins here. */
export const homeOf = (env: Environment): string => env['HOME'] || homedir()

/** The configuration of a home folder that OpenSSH would not look into. Nothing where it would. */
export function ownConfiguration(env: Environment): string | undefined {
  const home = homeOf(env)
  return home === userInfo().homedir ? undefined : join(home, '.ssh', 'config')
}
