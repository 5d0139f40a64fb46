/** How OpenSSH reaches a device: through the server's end of its tunnel, with the operator's certificate. */
import { parseFleetHost } from '../names.ts'
import type { FleetPlace } from './fleet-folder.ts'
import type { OperatorLogin } from './operator-login.ts'

/** A device as ssh has to know it. */
export interface Reached {
  hostname: string
  /** The reserved port of the server that its tunnel ends at. */
  port: number
  /** Whose account of the device it is; undefined while nobody knows: ssh's own default. */
  user: string | undefined
}

type Setting = readonly [name: string, value: string]

/** Settings that all devices of a fleet share. */
function fleetSettings({ host }: FleetPlace, login: OperatorLogin): Setting[] {
  return [
    ['HostName', 'localhost'],
    ['ProxyJump', jump(host)],
    ['IdentityFile', path(login.key)],
    ['CertificateFile', path(login.certificate)],
    ['IdentitiesOnly', 'yes'],
    ['PreferredAuthentications', 'publickey'],
    ['UserKnownHostsFile', path(login.knownHosts)],
    ['ForwardAgent', 'no'],
    // All devices are localhost: a socket named after that would lead to another one.
    ['ControlPath', 'none'],
    ['ServerAliveInterval', '15'],
    ['ServerAliveCountMax', '3'],
  ]
}

function jump(place: string): string {
  const { host, port } = parseFleetHost(place)
  return `fleetsie@${host.includes(':') ? `[${host}]` : host}${port === undefined ? '' : `:${port}`}`
}

function deviceSettings({ hostname, port, user }: Reached): Setting[] {
  return [
    ['Port', String(port)],
    ...(user === undefined ? [] : [['User', user] as const]),
    ['HostKeyAlias', hostname],
  ]
}

/** Options of the program `ssh`, up to and with the host: what follows may be more options, and a command. */
export function sshArguments(place: FleetPlace, login: OperatorLogin, device: Reached): string[] {
  const settings = [...fleetSettings(place, login), ...deviceSettings(device)]
  return [...settings.flatMap(([name, value]) => ['-o', `${name}=${value}`]), device.hostname]
}

/**
 * The same by a port of this machine that leads to the device, and nobody is asked: a key that `login.knownHosts` has is
 * expected, another device's is added to it.
 */
export function batchArguments(
  place: FleetPlace,
  login: OperatorLogin,
  device: Reached,
  localPort: number,
): string[] {
  // The first of two counts.
  const first = [
    'HostName=127.0.0.1',
    `Port=${localPort}`,
    'ProxyJump=none',
    'BatchMode=yes',
    'ConnectTimeout=15',
    'StrictHostKeyChecking=accept-new',
  ]
  return [...first.flatMap((setting) => ['-o', setting]), '-T', ...sshArguments(place, login, device)]
}

/** Blocks for ~/.ssh/config, so that ssh, scp, rsync and ansible know every device by its name. */
export function sshConfig(place: FleetPlace, login: OperatorLogin, devices: readonly Reached[]): string {
  return [
    `# ${place.fleet}@${place.host}: good until ${login.until.toISOString().slice(0, 16)}Z, when the certificate ends`,
    ...block(`${place.fleet}-*`, fleetSettings(place, login)),
    ...devices.flatMap((device) => block(device.hostname, deviceSettings(device))),
  ].join('\n')
}

function block(name: string, settings: readonly Setting[]): string[] {
  return [`Host ${name}`, ...settings.map(([key, value]) => `    ${key} ${value}`)]
}

/** As ssh_config reads it: quoted, and without what it would expand. */
function path(file: string): string {
  return `"${file.replaceAll('%', '%%')}"`
}
