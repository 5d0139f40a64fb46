/** What sysfs says of one block device. */
import { readdir, readFile, realpath } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { CardHost } from './host.ts'

/** A block device as the kernel knows it. */
export interface BlockDevice {
  /** The kernel's name, `sdc1`. */
  name: string
  /** `major:minor`. */
  id: string
  folder: string
  /** The folder of the disk that it is a partition of, or its own. */
  diskFolder: string
  /** Of a partition. */
  number: number | undefined
}

/** `major:minor` as sysfs spells it, of a `bigint` rdev: makedev(3) of glibc and musl. */
export function deviceId(rdev: bigint): string {
  const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xfffff000n)
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n)
  return `${major}:${minor}`
}

/** An attribute's text without spaces around it; undefined when it is absent, empty or too long to be one. */
export async function attribute(folder: string, name: string): Promise<string | undefined> {
  const text = await readFile(join(folder, name), 'utf8').catch(() => '')
  // Strings of a USB device may hold anything.
  const trimmed = text.slice(0, 4096).replaceAll('\0', '').trim()
  return trimmed === '' ? undefined : trimmed
}

/** The device with this id; undefined when the kernel has none. */
export async function blockDevice(host: CardHost, id: string): Promise<BlockDevice | undefined> {
  const folder = await realpath(join(host.sys, 'dev/block', id)).catch(() => undefined)
  if (folder === undefined) return undefined
  const number = await attribute(folder, 'partition')
  return {
    name: basename(folder),
    id,
    folder,
    diskFolder: number === undefined ? folder : dirname(folder),
    number: number === undefined ? undefined : Number(number),
  }
}

/** The device with this kernel name; undefined when there is none. */
export async function namedDevice(host: CardHost, name: string): Promise<BlockDevice | undefined> {
  // sysfs spells the slash of `cciss/c0d0` as an exclamation mark.
  const id = await attribute(join(host.sys, 'class/block', name.replaceAll('/', '!')), 'dev')
  return id === undefined ? undefined : blockDevice(host, id)
}

/** Bytes. The kernel counts in sectors of 512 bytes, whatever the device has. */
export async function deviceSize(device: BlockDevice): Promise<number> {
  return Number((await attribute(device.folder, 'size')) ?? 0) * 512
}

/** The partitions of the disk in `diskFolder` that the kernel shows, in order of their number. */
export async function partitionsOf(host: CardHost, diskFolder: string): Promise<BlockDevice[]> {
  const found: BlockDevice[] = []
  for (const entry of await readdir(diskFolder, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue
    const folder = join(diskFolder, entry.name)
    if ((await attribute(folder, 'partition')) === undefined) continue
    const id = await attribute(folder, 'dev')
    const device = id === undefined ? undefined : await blockDevice(host, id)
    if (device) found.push(device)
  }
  return found.sort((a, b) => a.number! - b.number!)
}
