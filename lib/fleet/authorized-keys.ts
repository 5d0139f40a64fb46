/**
 * The lines of a fleet's authorized_keys (sshd(8), "AUTHORIZED_KEYS FILE FORMAT"), and appending one. What a device and
 * a disk may do on the server is decided here and nowhere else.
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

/** A claimed device: its key holds its own port, and reaches the server's zabbix port. */
interface Device {
  fleet: string
  hostname: string
  port: number
  /** `ssh-ed25519 BASE64`. */
  key: string
}

const zabbixPort = 10051

/** The line of a live disk, which can claim and nothing else; no newline. `server`: how the comment calls this machine. */
export function diskLine(disk: { fleet: string; lot: string; key: string; server: string }): string {
  const command = `/home/fleetsie/fleetsie_auth ${disk.fleet} ${disk.lot}`
  return `command="${command}",restrict ${disk.key} fleetsie_${disk.fleet}@${disk.server}`
}

/** The line of a claimed device, without a newline. */
export function deviceLine(device: Device): string {
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

/**
 * Makes sure that the file at `path` has this device's line, and that it is on the disk. The caller holds the
 * write lock of the fleet's database: whoever replaces the file holds the same. A `fresh` device has no line yet,
 * so the file is not read. Fails with what the system says; the file is then as it was.
 */
export function ensureDeviceLine(path: string, device: Device, fresh: boolean): void {
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

function hasDevice(text: string, device: Device): boolean {
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
