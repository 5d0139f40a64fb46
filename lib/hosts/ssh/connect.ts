/** Connects to a machine over ssh, as the user's ssh_config says and never to one whose key is not known or confirmed. */
import type { Duplex } from 'node:stream'
import { FleetsieError } from '../../errors.ts'
import { readConfig, type SshConfig } from './config.ts'
import { type Destination, parseDestination } from './destination.ts'
import { type Attempt, type Established, establish, UnknownHost } from './establish.ts'
import { SshHost } from './host.ts'
import { unlessAuthority } from './host-key.ts'
import { findIdentities } from './identities.ts'
import { knownKeys } from './known-hosts.ts'
import { openSsh } from './openssh.ts'
import { Patience } from './patience.ts'
import { dialProxy, dialTcp } from './socket.ts'
import { SudoPassword } from './sudo.ts'
import type { ConnectOptions, Host, HostKey, Prompts } from './types.ts'

const defaultTimeout = 20_000
/** ssh_config can send one machine through another in a circle. */
const maxJumps = 8

/**
 * Connects to `[USER@]HOST[:PORT]` (`[v6]:PORT`). Fails with E_USAGE (no destination), E_VERIFY (host key), E_RIGHTS
 * (not let in), E_CANCELLED (the user said no), E_TIMEOUT, E_IO (not found, refused, broken), E_TOOL, E_INTERRUPTED.
 */
export async function connect(destination: string, options: ConnectOptions): Promise<Host> {
  return open(parseDestination(destination), options, undefined, 0)
}

/** `jumps` replaces what ssh_config says to go through: the rest of the list of a machine further on. */
async function open(
  destination: Destination,
  options: ConnectOptions,
  jumps: readonly string[] | undefined,
  depth: number,
): Promise<Host> {
  const { env, signal, timeout = defaultTimeout } = options
  const name = destination.text
  const run = openSsh(env, signal)
  const config = await readConfig(run, destination, env)
  const known = await knownKeys(run, config)
  const jump = await openJump(destination, config, options, jumps, depth)
  const patience = new Patience(name, timeout, signal)
  try {
    const prompts = patience.around(options.prompts)
    const dial = (): Promise<Duplex> => {
      if (jump) return jump.forward(config.port, config.host)
      if (config.proxyCommand !== undefined)
        return Promise.resolve(dialProxy(config.proxyCommand, config, env))
      return dialTcp(name, config, patience.signal)
    }
    const identities = await findIdentities(config, prompts)
    const attempt = { name, config, known, identities, prompts, signal: patience.signal, dial }
    const { client, stream, key, password } = await introduced(attempt, options.acceptNew)
    const { user, host, port } = config
    const sudo = new SudoPassword(`${user}@${host}`, options.prompts, password)
    const hangUp = async (): Promise<void> => {
      stream.destroy()
      await jump?.close()
    }
    return new SshHost(client, { name, user, host, port, hostKey: key }, sudo, hangUp)
  } catch (error) {
    await jump?.close()
    throw error
  } finally {
    patience.end()
  }
}

/** The machine in between, if there is one. */
async function openJump(
  { text, host }: Destination,
  { proxyJump }: SshConfig,
  options: ConnectOptions,
  jumps: readonly string[] | undefined,
  depth: number,
): Promise<Host | undefined> {
  const through = jumps ?? proxyJump
  const last = through.at(-1)?.replace(/^ssh:\/\//, '')
  if (last === undefined) return undefined
  const next = parseDestination(last)
  // `Host *` with a ProxyJump means that machine as well.
  if (next.host === host) return undefined
  if (depth >= maxJumps) {
    throw new FleetsieError('E_INPUT', `${text} is reached through more than ${maxJumps} machines`, {
      hint: 'see ProxyJump in ssh_config',
    })
  }
  const { acceptNew: _, ...rest } = options
  return open(next, rest, through.length > 1 ? through.slice(0, -1) : undefined, depth + 1)
}

/**
 * A machine that nobody knows is left again while the user compares its fingerprint, for sshd gives little time to log
 * in; then it must show the same key.
 */
async function introduced(
  attempt: Omit<Attempt, 'accepted'>,
  acceptNew: string | undefined,
): Promise<Established> {
  const { name, config, known, prompts } = attempt
  try {
    return await establish({ ...attempt, accepted: acceptNew })
  } catch (error) {
    if (!(error instanceof UnknownHost)) throw error
    const { key } = error
    const shows = `${name} shows the key ${key.type} ${key.fingerprint}`
    if (acceptNew !== undefined) {
      throw new FleetsieError('E_VERIFY', `${shows}, not ${acceptNew}`, {
        hint: 'look whether the fingerprint is of another of its keys; else someone may be in between',
      })
    }
    unlessAuthority(name, key, known)
    if (config.strict) {
      throw new FleetsieError('E_VERIFY', `${shows}, which is not known`, {
        hint: 'StrictHostKeyChecking forbids to ask: add the key to known_hosts yourself',
      })
    }
    await confirm(prompts, config, shows, key)
    return establish({ ...attempt, accepted: key.fingerprint })
  }
}

async function confirm(prompts: Prompts, config: SshConfig, shows: string, key: HostKey): Promise<void> {
  const details = [
    `Nothing is known of ${config.knownAs} yet. It shows this key:`,
    `  ${key.type} ${key.fingerprint}`,
    'Compare it with what that machine itself says: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub',
    ...(config.knownHosts[0] === undefined ? [] : [`It will be kept in ${config.knownHosts[0]}`]),
  ]
  let yes: boolean
  try {
    yes = await prompts.confirm('Is this the right machine?', details)
  } catch (error) {
    if (!(error instanceof FleetsieError && error.code === 'E_USAGE')) throw error
    throw new FleetsieError('E_VERIFY', `${shows}, which is not known, and there is no terminal to ask`, {
      hint: `connect once by \`ssh -p ${config.port} ${config.user}@${config.host}\` and compare the fingerprint`,
      cause: error,
    })
  }
  if (!yes) throw new FleetsieError('E_CANCELLED', `${shows}, which was not confirmed`)
}
