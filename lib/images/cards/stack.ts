/** What is stacked on a disk: its partitions, and LVM, dm-crypt, md, loop and btrfs above them. */
import { readdir, readFile, realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { CardHost } from '../devices/host.ts'
import { fileId } from '../devices/mounts.ts'
import {
  attribute,
  type BlockDevice,
  blockDevice,
  deviceId,
  namedDevice,
  partitionsOf,
} from '../devices/sysfs.ts'

interface Stack {
  /** Ids of the devices asked about and of all above them. */
  ids: Set<string>
  /** Kernel names of those above, and `btrfs` for other devices of one such filesystem. */
  holders: string[]
}

/** A loop device in use and what is behind it: the id of a device, or of a file. */
interface Loop {
  device: BlockDevice
  behind: string
}

/** All that stands on the devices or files with these ids; on the partitions of a whole disk too. */
export async function stackOn(host: CardHost, starts: readonly string[]): Promise<Stack> {
  const loops = await loopDevices(host)
  const families = await btrfsFamilies(host)
  const ids = new Set<string>()
  const holders = new Set<string>()
  const pending = [...starts]
  while (pending.length > 0) {
    const id = pending.pop()!
    if (ids.has(id)) continue
    ids.add(id)
    const above = loops.filter(({ behind }) => behind === id).map(({ device }) => device)
    const device = await blockDevice(host, id)
    if (device) {
      const parts = device.number === undefined ? await partitionsOf(host, device.folder) : []
      pending.push(...parts.map((part) => part.id))
      for (const name of await readdir(join(device.folder, 'holders')).catch(() => [])) {
        const holder = await namedDevice(host, name)
        if (holder) above.push(holder)
      }
    }
    for (const holder of above) {
      holders.add(holder.name)
      pending.push(holder.id)
    }
    const family = families.find((members) => members.includes(id))
    if (family && family.length > 1) {
      holders.add('btrfs')
      pending.push(...family)
    }
  }
  return { ids, holders: [...holders].sort() }
}

export async function loopDevices(host: CardHost): Promise<Loop[]> {
  const loops: Loop[] = []
  for (const name of await readdir(join(host.sys, 'block'))) {
    if (!/^loop\d+$/.test(name)) continue
    const backing = await readFile(join(host.sys, 'block', name, 'loop/backing_file'), 'utf8').catch(() => '')
    const found = await stat(backing.replace(/\n$/, ''), { bigint: true }).catch(() => undefined)
    const device = found && (await namedDevice(host, name))
    if (device) loops.push({ device, behind: found.isBlockDevice() ? deviceId(found.rdev) : fileId(found) })
  }
  return loops
}

/** A btrfs of several devices has one mount, which names one of them. */
async function btrfsFamilies(host: CardHost): Promise<string[][]> {
  const root = join(host.sys, 'fs/btrfs')
  const families: string[][] = []
  for (const uuid of await readdir(root).catch(() => [])) {
    const folder = join(root, uuid, 'devices')
    const names = await readdir(folder).catch(() => [])
    const ids = await Promise.all(
      names.map(async (name) => attribute(await realpath(join(folder, name)).catch(() => folder), 'dev')),
    )
    families.push(ids.filter((id) => id !== undefined))
  }
  return families
}
