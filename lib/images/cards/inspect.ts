/** Finds the device or file that a name stands for, and what is known of it. Nothing is changed. */
import { constants } from 'node:fs'
import { access, realpath, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import { type CardHost, thisMachine } from '../devices/host.ts'
import { allMounts, fileId, swapDevices } from '../devices/mounts.ts'
import {
  attribute,
  type BlockDevice,
  blockDevice,
  deviceId,
  deviceSize,
  partitionsOf,
} from '../devices/sysfs.ts'
import type { CardInfo, CardKind } from '../devices/types.ts'
import { type Contents, contentsOf } from './contents.ts'
import { hardwareOf } from './hardware.ts'
import { stackOn } from './stack.ts'

/** What a name is meant to be. */
export type Role = 'disk' | 'partition'

/** What this machine has in use now: asked once for several cards. */
interface InUse {
  mounts: Awaited<ReturnType<typeof allMounts>>
  swaps: string[]
}

/**
 * `name` as on a command line: `sdc1`, `disk/by-id/…`, `/dev/sdc1`, or the path of a file with a slash in it.
 * Fails with E_UNSAFE when it is neither a block device nor a file.
 */
export async function inspectCard(
  name: string,
  { cwd, role, host = thisMachine }: { cwd: string; role: Role; host?: CardHost },
): Promise<CardInfo> {
  const path = await pathOf(name, cwd, role, host)
  const stats = await stat(path, { bigint: true })
  const inUse = await nowInUse(host)
  if (stats.isFile())
    return inspectFile(name, path, { id: fileId(stats), size: Number(stats.size) }, inUse, host)
  const device = stats.isBlockDevice() ? await blockDevice(host, deviceId(stats.rdev)) : undefined
  if (!device) throw noDevice(name, role)
  return inspectDevice(name, path, device, inUse, host)
}

async function pathOf(name: string, cwd: string, role: Role, host: CardHost): Promise<string> {
  const bare = !name.includes('/')
  const places = name.startsWith('/') || /^\.\.?\//.test(name) ? [] : [join(host.dev, name)]
  if (!bare) places.push(resolve(cwd, name))
  for (const place of name === '' ? [] : places) {
    const found = await realpath(place).catch(() => undefined)
    if (found !== undefined) return found
  }
  throw noDevice(name, role, bare && (await realpath(resolve(cwd, name || '.')).catch(() => undefined)))
}

function noDevice(name: string, role: Role, file?: string | false): FleetsieError {
  return new FleetsieError(
    'E_UNSAFE',
    `${name || "''"} is really not a disk${role === 'partition' ? ' partition' : ''}`,
    {
      hint: file
        ? `for the file in this folder write ./${name}`
        : '`fleetsie devices` lists what can be written',
    },
  )
}

export async function nowInUse(host: CardHost): Promise<InUse> {
  const [mounts, swaps] = await Promise.all([allMounts(host), swapDevices(host)])
  return { mounts, swaps }
}

async function inspectFile(
  name: string,
  path: string,
  { id, size }: { id: string; size: number },
  { mounts }: InUse,
  host: CardHost,
): Promise<CardInfo> {
  const { ids, holders } = await stackOn(host, [id])
  const { partitions, content } = await contentsOf(path, size)
  return {
    ...{ name, path, kind: 'file', id, size, content, holders },
    ...{ sequence: undefined, disk: undefined, transport: 'file' },
    ...{ vendor: undefined, model: undefined, serial: undefined, serialIsUnique: false },
    removable: true,
    readOnly: !(await access(path, constants.W_OK).then(
      () => true,
      () => false,
    )),
    mounts: mounts.filter(({ device }) => ids.has(device)).map(mountOnly),
    holdsRoot: false,
    holdsSwap: false,
    partitions: partitions.map((partition) => ({ name: undefined, ...partition })),
  }
}

export async function inspectDevice(
  name: string,
  path: string,
  device: BlockDevice,
  { mounts, swaps }: InUse,
  host: CardHost,
): Promise<CardInfo> {
  const disk = (await blockDevice(host, (await attribute(device.diskFolder, 'dev')) ?? '')) ?? device
  const own = await stackOn(host, [device.id])
  const whole = device === disk ? own : await stackOn(host, [disk.id])
  const hardware = await hardwareOf(host, device)
  const size = await deviceSize(device)
  const contents = size > 0 ? await contentsOf(path, size) : undefined
  return {
    ...{ name, path, id: device.id, disk: disk.name, size, ...hardware },
    kind: kindOf(device, hardware.transport),
    sequence: await attribute(device.diskFolder, 'diskseq'),
    readOnly: (await attribute(device.folder, 'ro')) === '1',
    mounts: mounts.filter((mount) => own.ids.has(mount.device)).map(mountOnly),
    holders: own.holders,
    holdsRoot: mounts.some((mount) => mount.at === '/' && whole.ids.has(mount.device)),
    holdsSwap: swaps.some((id) => whole.ids.has(id)),
    partitions: await named(host, device, contents),
    content: contents?.content ?? { filesystem: null, label: null, uuid: null },
  }
}

function kindOf(device: BlockDevice, transport: string | undefined): CardKind {
  if (device.number !== undefined) return 'partition'
  if (transport === 'loop') return 'loop'
  return transport === 'virtual' ? 'mapped' : 'disk'
}

/** By the table on the disk, with the kernel's names where it shows them. */
async function named(
  host: CardHost,
  device: BlockDevice,
  contents: Contents | undefined,
): Promise<CardInfo['partitions']> {
  const known = device.number === undefined ? await partitionsOf(host, device.folder) : []
  return (contents?.partitions ?? []).map((partition) => ({
    name: known.find(({ number }) => number === partition.number)?.name,
    ...partition,
  }))
}

function mountOnly({ device, at, here }: CardInfo['mounts'][number]): CardInfo['mounts'][number] {
  return { device, at, here }
}
