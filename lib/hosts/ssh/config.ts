/** What the user's ssh_config says about a destination, as `ssh -G` understands it. */
import { existsSync } from 'node:fs'
import { userInfo } from 'node:os'
import { isAbsolute, join } from 'node:path'
import type { Run } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import { type Destination, isHost, isUser } from './destination.ts'
import { type Environment, homeOf, ownConfiguration } from './openssh.ts'

export interface SshConfig {
  user: string
  host: string
  port: number
  /** 4 or 6 where AddressFamily says so. */
  family: 0 | 4 | 6
  /** The name in known_hosts: HostKeyAlias, or the host with its port. */
  knownAs: string
  /** The user's files, then the global ones. The first takes new keys. */
  knownHosts: string[]
  hashKnownHosts: boolean
  /** StrictHostKeyChecking=yes: nobody is asked about an unknown host. */
  strict: boolean
  hostKeyAlgorithms: string[]
  identityFiles: string[]
  identitiesOnly: boolean
  /** The agent's socket. */
  agent: string | undefined
  methods: { publickey: boolean; password: boolean; keyboard: boolean }
  /** How often a password is asked for. */
  passwordPrompts: number
  proxyCommand: string | undefined
  /** Destinations to go through, the nearest first. */
  proxyJump: string[]
}

/** Fails with E_INPUT where ssh_config is wrong, E_TOOL without OpenSSH. */
export async function readConfig(run: Run, destination: Destination, env: Environment): Promise<SshConfig> {
  const { user, host, port } = destination
  const own = ownConfiguration(env)
  const args = [
    ...(own === undefined ? [] : ['-F', existsSync(own) ? own : 'none']),
    // No `-p` and `-l` unless given: they beat the file.
    ...(port === undefined ? [] : ['-p', String(port)]),
    ...(user === undefined ? [] : ['-l', user]),
  ]
  const { stdout, stderr, exitCode } = await run('ssh', ['-G', ...args, '--', host], {
    cwd: '/',
    okCodes: [0, 255],
    timeout: 30_000,
  })
  if (exitCode !== 0) {
    throw new FleetsieError('E_INPUT', `ssh does not take its configuration: ${stderr.trim()}`, {
      hint: `\`ssh -G ${host}\` shows what is wrong`,
    })
  }
  return understand(stdout.toString(), destination, env)
}

function understand(text: string, destination: Destination, env: Environment): SshConfig {
  const said = new Map<string, string[]>()
  for (const line of text.split('\n')) {
    const [, name, value] = /^(\S+) (.*)$/.exec(line) ?? []
    if (name !== undefined) said.set(name, [...(said.get(name) ?? []), value!])
  }
  const one = (name: string): string | undefined => {
    const value = said.get(name)?.[0]
    return value === 'none' ? undefined : value
  }
  const on = (name: string): boolean => !['no', 'false', undefined].includes(one(name))
  const host = (one('hostname') ?? destination.host).replace(/^\[(.*)\]$/, '$1')
  const user = one('user') ?? userInfo().username
  const port = Number(one('port') ?? 22)
  if (!isHost(host) || !isUser(user)) {
    throw new FleetsieError('E_INPUT', `ssh_config sends ${destination.text} to an impossible user or host`, {
      hint: `see HostName and User in \`ssh -G ${destination.host}\``,
    })
  }
  const path = (value: string): string =>
    expand(value, { d: homeOf(env), h: host, n: destination.host, p: String(port), r: user }, env)
  const files = (name: string): string[] =>
    (said.get(name)?.[0] ?? '')
      .split(' ')
      .filter((file) => file !== '' && file !== 'none')
      .map(path)
  return {
    ...{ user, host, port },
    family: one('addressfamily') === 'inet' ? 4 : one('addressfamily') === 'inet6' ? 6 : 0,
    knownAs: one('hostkeyalias') ?? knownName(host, port),
    knownHosts: [...files('userknownhostsfile'), ...files('globalknownhostsfile')],
    hashKnownHosts: on('hashknownhosts'),
    strict: ['yes', 'true'].includes(one('stricthostkeychecking') ?? ''),
    hostKeyAlgorithms: (one('hostkeyalgorithms') ?? '').split(',').filter(Boolean),
    identityFiles: (said.get('identityfile') ?? []).filter((file) => file !== 'none').map(path),
    identitiesOnly: on('identitiesonly'),
    agent: agentSocket(said.get('identityagent')?.[0], env, path),
    methods: {
      publickey: on('pubkeyauthentication'),
      password: on('passwordauthentication'),
      keyboard: on('kbdinteractiveauthentication') || on('challengeresponseauthentication'),
    },
    passwordPrompts: Number(one('numberofpasswordprompts') ?? 3),
    proxyCommand: one('proxycommand'),
    proxyJump: (one('proxyjump') ?? '').split(',').filter(Boolean),
  }
}

/** As known_hosts has it: the port only where it is not 22. */
export function knownName(host: string, port: number): string {
  const name = host.toLowerCase()
  return port === 22 ? name : `[${name}]:${port}`
}

function agentSocket(
  said: string | undefined,
  env: Environment,
  path: (value: string) => string,
): string | undefined {
  if (said === 'none') return undefined
  if (said === undefined || said === 'SSH_AUTH_SOCK') return env['SSH_AUTH_SOCK'] || undefined
  if (said.startsWith('$') && !said.startsWith('${')) return env[said.slice(1)] || undefined
  return path(said)
}

/** The tokens of ssh_config(5), section TOKENS, that files can have. */
function expand(value: string, tokens: Record<string, string>, env: Environment): string {
  const own = userInfo()
  const all: Record<string, string> = { ...tokens, '%': '%', u: own.username, i: String(own.uid) }
  const text = value
    .replace(/^~(?=\/|$)/, () => all['d']!)
    .replace(/\$\{(\w+)\}/g, (_, name: string) => env[name] ?? '')
    .replace(/%(.)/g, (whole, token: string) => all[token] ?? whole)
  // What ssh has expanded already with the home folder of the user database.
  const home = homeOf(env)
  if (home !== own.homedir && text.startsWith(`${own.homedir}/.ssh/`)) {
    return join(home, text.slice(own.homedir.length))
  }
  return isAbsolute(text) ? text : join(home, '.ssh', text)
}
