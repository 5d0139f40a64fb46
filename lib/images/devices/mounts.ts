/** What is mounted and swapped to, in every mount namespace that this process may look into. */
import { readdir, readFile, readlink, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { CardHost } from './host.ts'
import { deviceId } from './sysfs.ts'
import type { CardMount } from './types.ts'

/** A mount, with what the filesystem says it is of: for btrfs, overlayfs and FUSE the device's id is none of a disk. */
interface KnownMount extends CardMount {
  source: string
}

/** Mounts of all namespaces, this one's first. */
export async function allMounts(host: CardHost): Promise<KnownMount[]> {
  const seen = new Set<string>()
  const mounts: KnownMount[] = []
  for (const pid of ['self', ...(await readdir(host.proc)).filter((name) => /^\d+$/.test(name))]) {
    // Of others' processes neither may be readable, and any may end meanwhile.
    const namespace = await readlink(join(host.proc, pid, 'ns/mnt')).catch(() => undefined)
    if (namespace === undefined || seen.has(namespace)) continue
    const text = await readFile(join(host.proc, pid, 'mountinfo'), 'utf8').catch(() => undefined)
    if (text === undefined) continue
    seen.add(namespace)
    for (const line of text.split('\n')) {
      const mount = parseLine(line)
      if (mount) mounts.push({ ...mount, device: await deviceBehind(mount), here: pid === 'self' })
    }
  }
  return mounts
}

/** proc_pid_mountinfo(5): `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`. */
function parseLine(line: string): { device: string; at: string; source: string } | undefined {
  const fields = line.split(' ')
  const end = fields.indexOf('-', 6)
  if (end === -1) return undefined
  return { device: fields[2]!, at: unescaped(fields[4]!), source: unescaped(fields[end + 2] ?? '') }
}

/** Spaces, tabs, line ends and backslashes are written as three octal digits. */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))
}

async function deviceBehind({ device, source }: { device: string; source: string }): Promise<string> {
  if (!device.startsWith('0:') || !source.startsWith('/')) return device
  const found = await stat(source, { bigint: true }).catch(() => undefined)
  if (found?.isBlockDevice()) return deviceId(found.rdev)
  return found?.isFile() ? fileId(found) : device
}

/** What stands for the id of a device where a file is the disk. */
export function fileId({ dev, ino }: { dev: bigint; ino: bigint }): string {
  return `file ${deviceId(dev)}/${ino}`
}

/** Ids of the devices that hold swap space in use: itself, or the filesystem of a swap file. */
export async function swapDevices(host: CardHost): Promise<string[]> {
  const text = await readFile(join(host.proc, 'swaps'), 'utf8').catch(() => '')
  const found = text
    .split('\n')
    .slice(1)
    .map(async (line) => {
      const place = unescaped(line.split(/\s+/)[0] ?? '')
      const stats = place ? await stat(place, { bigint: true }).catch(() => undefined) : undefined
      if (!stats) return []
      return [stats.isBlockDevice() ? deviceId(stats.rdev) : deviceId(stats.dev)]
    })
  return (await Promise.all(found)).flat()
}
