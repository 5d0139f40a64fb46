/** `ssh FLEET-N`: OpenSSH's ssh on a device, through its tunnel, with a certificate of hours. */
import { spawn } from 'node:child_process'
import { FleetsieError } from '../../errors.ts'
import { type Reached, sshArguments, sshConfig } from '../../fleet/client/device-ssh.ts'
import { findPlace, rememberHost } from '../../fleet/client/fleet-folder.ts'
import { listDevices } from '../../fleet/client/list.ts'
import { operatorLogin } from '../../fleet/client/operator-login.ts'
import { expectOnline, findDevicePlace } from '../fleet/device-name.ts'
import { onFleetServer } from '../fleet/server.ts'
import type { Session } from '../session.ts'
import { temporaryRun } from '../temporary-run.ts'

interface SshOptions {
  json?: boolean
  host?: string
  config?: boolean
}

export async function ssh(
  session: Session,
  name: string,
  words: readonly string[],
  options: SshOptions,
): Promise<void> {
  await session.show(options)
  if (options.config) return config(session, name, words, options)
  // For ssh itself a `--` here would make a command of its options.
  const rest = words[0] === '--' ? words.slice(1) : words
  const { place, idInFleet } = await findDevicePlace(name, options.host)
  const { signal } = session
  const { devices, loginKey } = await onFleetServer(session, place, (host) =>
    listDevices(host, place.fleet, { signal, device: idInFleet }),
  )
  await rememberHost(process.env, place)
  const reached = reachedBy(expectOnline(devices[0]!))
  const login = await temporaryRun(signal, (run) => operatorLogin(run, process.env, place, loginKey))
  process.exitCode = await onTerminal('ssh', [...sshArguments(place, login, reached), ...rest])
  // The terminal shows ^C behind a question of ssh.
  if (session.interrupted && process.stderr.isTTY) process.stderr.write('\n')
  if (process.exitCode === 255 && !process.stdin.isTTY) await explain(session, login.knownHosts, name)
}

/** Of a host key that is not known ssh says no more than that it failed, where nobody can be asked. */
async function explain(session: Session, knownHosts: string, name: string): Promise<void> {
  const [hostname] = name.split('@')
  const find = ['-F', hostname!, '-f', knownHosts]
  const { exitCode } = await temporaryRun(session.signal, (run) =>
    run('ssh-keygen', find, { okCodes: [0, 1, 255] }),
  )
  if (exitCode === 0) return
  const message = `the host key of ${hostname} is not known here yet; in a terminal you are asked, else\nthis takes it: fleetsie ssh ${name} -- -o StrictHostKeyChecking=accept-new true`
  session.emit({ type: 'warning', message })
}

/** Prints what ~/.ssh/config needs for every device that has claimed. */
async function config(
  session: Session,
  name: string,
  words: readonly string[],
  options: SshOptions,
): Promise<void> {
  if (words.length > 0) throw new FleetsieError('E_USAGE', '--config takes a fleet, and no command')
  const place = await findPlace(process.env, name, options.host)
  const { devices: all, loginKey } = await onFleetServer(session, place, (host) =>
    listDevices(host, place.fleet, session),
  )
  await rememberHost(process.env, place)
  const login = await temporaryRun(session.signal, (run) => operatorLogin(run, process.env, place, loginKey))
  const devices = all.flatMap(({ hostname, tunnel_port: port, state, user }): Reached[] =>
    port !== null && (state === 'online' || state === 'claimed')
      ? [{ hostname, port, user: user ?? undefined }]
      : [],
  )
  session.emit({ type: 'answer', text: sshConfig(place, login, devices) })
}

function reachedBy(device: { hostname: string; tunnel_port: number; user: string | null }): Reached {
  return { hostname: device.hostname, port: device.tunnel_port, user: device.user ?? undefined }
}

/** It has the terminal to itself, with its questions and its Ctrl-C. Answers its exit code. */
function onTerminal(command: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'inherit' })
    child.once('error', (cause) =>
      reject(new FleetsieError('E_TOOL', `the program \`${command}\` did not start`, { cause })),
    )
    child.once('close', (code) => resolve(code ?? 255))
  })
}
