/** Which card it is, and whether this machine has written to it since a moment that is remembered. */
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type CardHost, thisMachine } from '../devices/host.ts'
import { fileId } from '../devices/mounts.ts'
import { attribute, type BlockDevice, blockDevice, deviceSize } from '../devices/sysfs.ts'
import type { CardInfo } from '../devices/types.ts'

export interface CardIdentity {
  /** The card as far as its number tells, else the reader that it lies in. Its receipt is found by it. */
  key: string
  /** Where each of the devices begins on it, bytes, in the order in which they were given. */
  starts: readonly number[]
  /** The device of the whole disk; undefined for a file, and a loop device over one. */
  disk: string | undefined
  /** Another text after each write by this machine, and each time that a card is put in; undefined: nobody can tell. */
  state(): Promise<string | undefined>
}

/** Of a disk, or of partitions of one disk. Undefined where they are not all of one. */
export async function identifyCard(
  cards: readonly Pick<CardInfo, 'path' | 'kind' | 'id' | 'vendor' | 'model' | 'serial' | 'transport'>[],
  host: CardHost = thisMachine,
): Promise<CardIdentity | undefined> {
  const found = await Promise.all(cards.map((card) => identifyOne(card, host)))
  const [first] = found
  if (!first || found.some((one) => one?.key !== first.key)) return undefined
  return { ...first, starts: found.flatMap((one) => one?.starts ?? []) }
}

async function identifyOne(
  card: Parameters<typeof identifyCard>[0][number],
  host: CardHost,
): Promise<CardIdentity | undefined> {
  if (card.kind === 'file') return overFile(card.path, 0, 0)
  const device = await blockDevice(host, card.id)
  if (!device) return undefined
  const start = device.number === undefined ? 0 : Number(await attribute(device.folder, 'start')) * 512
  if (card.transport === 'loop') {
    const file = await attribute(device.diskFolder, 'loop/backing_file')
    const offset = await attribute(device.diskFolder, 'loop/offset')
    return file === undefined ? undefined : overFile(file, Number(offset), start)
  }
  const disk = await blockDevice(host, (await attribute(device.diskFolder, 'dev')) ?? '')
  if (!disk) return undefined
  const { transport, vendor, model, serial } = card
  const key = [transport, vendor, model, serial, await deviceSize(disk)].map((part) => part ?? '').join('\n')
  const path = join(host.dev, disk.name.replaceAll('!', '/'))
  return { key, starts: [start], disk: path, state: () => stateOf(disk, host) }
}

/** Who writes to a file, through a loop device as well, changes its ctime, which no program can set back. */
async function overFile(path: string, offset: number, start: number): Promise<CardIdentity | undefined> {
  const stats = await stat(path, { bigint: true }).catch(() => undefined)
  if (!stats?.isFile()) return undefined
  const id = fileId(stats)
  const state = async (): Promise<string | undefined> => {
    const now = await stat(path, { bigint: true }).catch(() => undefined)
    return now && `${fileId(now)} ${now.size} ${now.mtimeNs} ${now.ctimeNs}`
  }
  return { key: `${id} ${offset}`, starts: [start], disk: undefined, state }
}

/**
 * The boot, the kernel's number of this insertion of the medium, and the sectors that were written and discarded since:
 * Documentation/ABI/stable/sysfs-block and Documentation/block/stat.rst of Linux; diskseq since 5.15.
 */
async function stateOf(disk: BlockDevice, host: CardHost): Promise<string | undefined> {
  const boot = await readFile(join(host.proc, 'sys/kernel/random/boot_id'), 'utf8').catch(() => '')
  const sequence = await attribute(disk.folder, 'diskseq')
  const counts = (await attribute(disk.folder, 'stat'))?.split(/\s+/)
  const [written, discarded] = [counts?.[6], counts?.[13]]
  if (boot === '' || sequence === undefined || written === undefined) return undefined
  return `${boot.trim()} ${sequence} ${written} ${discarded ?? ''}`
}
