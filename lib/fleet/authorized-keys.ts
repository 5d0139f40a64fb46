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
import { publicKeyPattern } from './names.ts'

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

/** The first line of the file: the devices that were revoked, by their numbers. sshd takes it for a comment. */
export function revokedLine(numbers: readonly number[]): string {
  return [revokedMark, ...numbers].join(' ')
}

const revokedMark = '# revoked:'
/** Bytes; more is read where there are more devices. */
const head = 4096

/**
 * Makes sure that the file at `path` has this device's line, and that it is on the disk. The caller holds the write lock of
 * the fleet's database: whoever replaces the file holds the same. Answers false where the file says that the device was
 * revoked, or has another key: whoever replaced it may have died before the database said the same. A `fresh` device has no
 * line yet, so that no more than the first line is read. Fails with what the system says; the file is then as it was.
 */
export function ensureDeviceLine(path: string, device: Device, fresh: boolean): boolean {
  const file = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_APPEND, 0o600)
  try {
    const { size } = fstatSync(file)
    if (isRevoked(file, size, device)) return false
    if (!fresh) {
      const found = find(readFrom(file, 0, size), device)
      if (found) return found === 'this key'
    }
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
    return true
  } finally {
    closeSync(file)
  }
}

function isRevoked(file: number, size: number, { fleet, hostname }: Device): boolean {
  let text = readFrom(file, 0, Math.min(size, head))
  if (!text.startsWith(revokedMark)) return false
  if (!text.includes('\n')) text = readFrom(file, 0, size)
  const [line = ''] = text.split('\n', 1)
  return line.split(' ').some((number) => `${fleet}-${number}` === hostname)
}

function find(text: string, device: Device): 'this key' | 'another key' | undefined {
  // The comment is the only part that may be torn off and leave a line that sshd takes.
  const taken = deviceLine(device).slice(0, -device.hostname.length - 1)
  const [options = ''] = taken.split(' ssh-ed25519 ')
  const lines = text.split('\n')
  if (lines.some((line) => line === taken || line.startsWith(`${taken} `))) return 'this key'
  const isOther = (line: string): boolean =>
    line.startsWith(`${options} `) && publicKeyPattern.test(line.slice(options.length + 1, taken.length))
  return lines.some(isOther) ? 'another key' : undefined
}

function readFrom(file: number, position: number, length: number): string {
  const bytes = Buffer.alloc(length)
  const read = readSync(file, bytes, 0, length, position)
  return bytes.toString('latin1', 0, read)
}

function writeAll(file: number, bytes: Buffer): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done)
}
