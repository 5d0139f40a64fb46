/** Which device a card belongs to: what its system made at its first boot, and what the claim wrote (docs/device-values.md). */
import { lookUp } from '../os/volume-file.ts'
import { openVolume } from '../read-tree.ts'
import { shown, type Volume } from '../volume.ts'
import { withWindow } from '../window.ts'
import { Accounts } from './accounts.ts'
import type { CardVolume, ClaimedIdentity } from './types.ts'
import { VolumeEdit } from './volume-edit.ts'

interface Found {
  hostname?: string
  machineId?: string
  sshHostKeys: number
  claimed: boolean
  tunnelPort?: number
}

/**
 * Undefined: nothing on the card tells it from a fresh image. A name alone counts if it is not `imageHostname`, which is asked
 * only then. What cannot be read is not there: fails only where `imageHostname` does.
 */
export async function claimedIdentity(
  volumes: readonly CardVolume[],
  imageHostname?: () => Promise<string | undefined>,
): Promise<ClaimedIdentity | undefined> {
  for (const { path, partition } of volumes) {
    if (!partition.filesystem?.startsWith('ext')) continue
    const found = await attempt(() =>
      withWindow(path, partition, 'r', (window) => look(openVolume(window, partition))),
    )
    if (!found) continue
    const { hostname, machineId, sshHostKeys, claimed } = found
    const booted = machineId !== undefined || sshHostKeys > 0 || claimed
    // A card that was written for a device and has not been there yet.
    const named = async () => hostname !== undefined && imageHostname && (await imageHostname()) !== hostname
    if (booted || (await named())) return { ...found, described: describe(found) }
  }
  return undefined
}

async function look(volume: Volume): Promise<Found> {
  const edit = new VolumeEdit(volume)
  const text = (path: string) => attempt(() => edit.read(path))
  const hostname = (await text('etc/hostname'))?.trim()
  const machineId = (await text('etc/machine-id'))?.trim()
  const keys = (await attempt(() => edit.list('etc/ssh'))) ?? []
  const home = (await attempt(() => new Accounts(edit).first().home)) ?? ''
  const port = Number(await attempt(() => linkTarget(volume, `${home}/.ssh`, 'fleetsie_tunnel_port')))
  const traces = [`${home}/.ssh/fleetsie`, 'opt/fleetsie/fleet_extra', 'etc/zabbix/psk.txt']
  const there = await Promise.all(traces.map((path) => attempt(() => edit.has(path))))
  return {
    ...(hostname && { hostname }),
    // `uninitialized` is what systemd leaves in an image.
    ...(machineId && /^[0-9a-f]{32}$/.test(machineId) && { machineId }),
    sshHostKeys: keys.filter((name) => /^ssh_host_.*_key$/.test(name)).length,
    claimed: port > 0 || there.includes(true),
    ...(port > 0 && { tunnelPort: port }),
  }
}

/** The port is the target of a link that leads nowhere. */
function linkTarget(volume: Volume, folder: string, name: string): string | undefined {
  const id = lookUp(volume, folder)
  const link = id === undefined ? undefined : volume.list(id).get(name)
  if (link === undefined || volume.node(link).type !== 'symlink') return undefined
  return shown(volume.target(link))
}

function describe({ hostname, machineId, sshHostKeys, claimed, tunnelPort }: Found): string {
  const parts: string[] = []
  if (claimed) parts.push(`claimed${tunnelPort === undefined ? '' : `, tunnel port ${tunnelPort}`}`)
  if (machineId !== undefined) parts.push(`machine-id ${machineId.slice(0, 8)}…`)
  if (sshHostKeys > 0) parts.push(sshHostKeys === 1 ? '1 ssh host key' : `${sshHostKeys} ssh host keys`)
  const name = hostname === undefined ? 'a device without a name' : JSON.stringify(hostname)
  return parts.length === 0 ? name : `${name} (${parts.join('; ')})`
}

/** What a damaged filesystem throws says only that the thing is not there. */
async function attempt<T>(work: () => T | Promise<T>): Promise<T | undefined> {
  try {
    return await work()
  } catch {
    return undefined
  }
}
