/**
 * The lines of a fleet's authorized_keys (sshd(8), "AUTHORIZED_KEYS FILE FORMAT"): what they say, reading them
 * back, and appending one. What a device and a disk may do on the server is decided here and nowhere else.
 */
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  writeSync,
} from 'node:fs'

/** The key of a disk: it can claim, and nothing else. */
export interface DiskLine {
  kind: 'disk'
  fleet: string
  /** Older lines name none: any device of the fleet. */
  lot: string | undefined
  /** `ssh-ed25519 BASE64`. */
  key: string
}

/** The key of a claimed device: it holds its own port, and reaches the server's zabbix port. */
export interface DeviceLine {
  kind: 'device'
  fleet: string
  hostname: string
  port: number
  key: string
}

const zabbixPort = 10051

/** The line of a live disk, without a newline. `server` is how the comment calls this machine. */
export function diskLine(disk: { fleet: string; lot: string; key: string; server: string }): string {
  const command = `/home/fleetsie/fleetsie_auth ${disk.fleet} ${disk.lot}`
  return `command="${command}",restrict ${disk.key} fleetsie_${disk.fleet}@${disk.server}`
}

/** The line of a claimed device, without a newline. */
export function deviceLine(device: { fleet: string; hostname: string; port: number; key: string }): string {
  const { fleet, hostname, port, key } = device
  const options = [
    `command="/home/fleetsie/fleetsie_login ${fleet} ${hostname} ${port}"`,
    'restrict',
    'port-forwarding',
    `permitlisten="localhost:${port}"`,
    `permitopen="localhost:${zabbixPort}"`,
  ]
  return `${options.join(',')} ${key} ${hostname}`
}

const option = String.raw`[A-Za-z-]+(?:="(?:[^"\\]|\\.)*")?`
const lineForm = new RegExp(`^(${option}(?:,${option})*) (ssh-ed25519 [A-Za-z0-9+/]{68})(?: .*)?$`)
const diskCommand = /^\/home\/fleetsie\/fleetsie_auth(?: (\w+)(?: ([0-9a-f]{16}))?)?$/
const deviceCommand =
  /^(?:\/usr\/bin\/setsid -w )?\/home\/fleetsie\/fleetsie_login(?: (\w+) (\w+-\d+) (\d+))?$/

/** What one line says; undefined when it is none of ours, or torn. Reads the older tool's lines as well. */
export function parseKeyLine(line: string): DiskLine | DeviceLine | undefined {
  const [, options = '', key] = lineForm.exec(line.replace(/\r$/, '')) ?? []
  if (key === undefined) return undefined
  const command = /(?:^|,)command="([^"\\]*)"/.exec(options)?.[1] ?? ''
  // The older tool said these by the environment.
  const environment = (name: string): string | undefined =>
    new RegExp(`(?:^|,)environment="${name}=([^"\\\\]*)"`).exec(options)?.[1]
  const disk = diskCommand.exec(command)
  if (disk) {
    const fleet = disk[1] ?? environment('FLEET')
    return fleet === undefined ? undefined : { kind: 'disk', fleet, lot: disk[2], key }
  }
  const device = deviceCommand.exec(command)
  if (!device) return undefined
  const fleet = device[1] ?? environment('FLEETSIE_FLEET')
  const hostname = device[2] ?? environment('FLEETSIE_HOST')
  const port = Number(device[3] ?? environment('FLEETSIE_PORT'))
  if (fleet === undefined || hostname === undefined || !Number.isInteger(port)) return undefined
  return { kind: 'device', fleet, hostname, port, key }
}

/**
 * Makes sure that the file at `path` has this device's line, and that it is on the disk. The caller holds the
 * write lock of the fleet's database: whoever replaces the file holds the same. A `fresh` device has no line yet,
 * so the file is not read. Fails with what the system says; the file is then as it was.
 */
export function ensureDeviceLine(path: string, device: Omit<DeviceLine, 'kind'>, fresh: boolean): void {
  const file = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_APPEND, 0o600)
  try {
    const { size } = fstatSync(file)
    if (!fresh && hasDevice(readFrom(file, 0, size), device)) return
    const last = readFrom(file, Math.max(0, size - 1), Math.min(size, 1))
    // Whoever wrote last may have died in the middle of a line: it must not swallow this one.
    const start = last === '' || last === '\n' ? '' : '\n'
    try {
      writeAll(file, Buffer.from(`${start}${deviceLine(device)}\n`))
      fsyncSync(file)
    } catch (error) {
      ftruncateSync(file, size)
      throw error
    }
  } finally {
    closeSync(file)
  }
}

function hasDevice(text: string, device: Omit<DeviceLine, 'kind'>): boolean {
  // The comment is the only part that may be torn off and leave a line that sshd takes.
  const taken = deviceLine(device).slice(0, -device.hostname.length - 1)
  return text.split('\n').some((line) => line === taken || line.startsWith(`${taken} `))
}

function readFrom(file: number, position: number, length: number): string {
  const bytes = Buffer.alloc(length)
  const read = readSync(file, bytes, 0, length, position)
  return bytes.toString('latin1', 0, read)
}

function writeAll(file: number, bytes: Buffer): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done)
}
