/** Writes a device's values to its card, by edits in the card's filesystems. Nothing of them goes anywhere else. */
import { join } from 'node:path'
import { applyLayers } from '../apply.ts'
import type { ByteRange } from '../byte-ranges.ts'
import { flush } from '../flush.ts'
import { Window } from '../window.ts'
import { type Card, openCard, withCard } from './card.ts'
import { hashPassword } from './hash-password.ts'
import { putHostname, putTimezone } from './put-host.ts'
import { putUser } from './put-user.ts'
import { withSecretFolder } from './secret-folder.ts'
import type { ApplyValuesOptions, CardVolume, DeviceValues, Touched } from './types.ts'
import { putWifi } from './wifi/put-wifi.ts'

/**
 * Whether the volumes have what the values need; writes nothing. Fails with E_INPUT, as applyValues would.
 * `openWindow` says how a partition is read.
 */
export function checkValues(
  volumes: readonly CardVolume[],
  values: DeviceValues,
  openWindow = ({ path, partition }: CardVolume): Window => new Window(path, partition),
): void {
  const windows: Window[] = []
  try {
    // In the place of a hash: whether there is a password decides what has to be there.
    collect(openCard(volumes, windows, openWindow), values, values.password && '*', 1)
  } finally {
    for (const window of windows) window.close()
  }
}

/**
 * Writes the values and waits until they are on the medium. Again with the same values, it repairs what an interruption left
 * only if the filesystems were written anew before: debugfs is not atomic.
 * Fails with E_INPUT (the image has no program for a value, said before anything is written), or as applyLayers.
 */
export async function applyValues(options: ApplyValuesOptions): Promise<Touched[]> {
  const { run, volumes, values, signal } = options
  const epoch = options.epoch ?? Math.floor(Date.now() / 1000)
  const hash = values.password && (await hashPassword(run, values.password))
  return withSecretFolder(async (tmp) => {
    const layers: { volume: CardVolume; layer: string }[] = []
    await withCard(volumes, async (card) => {
      collect(card, values, hash, epoch)
      for (const { volume, edit } of card.edits) {
        if (edit.isEmpty) continue
        const layer = join(tmp, `part_${volume.partition.number}.tar`)
        await edit.writeLayer(layer)
        layers.push({ volume, layer })
      }
    })
    const touched = new Map<string, ByteRange[]>()
    for (const { volume, layer } of layers) {
      const { path: disk, partition } = volume
      const ranges = await applyLayers({
        run,
        disk,
        partition,
        layers: [layer],
        epoch,
        tmp,
        ...(signal && { signal }),
      })
      touched.set(
        disk,
        [...(touched.get(disk) ?? []), ...ranges].sort((a, b) => a.offset - b.offset),
      )
    }
    for (const path of touched.keys()) await flush(path)
    return [...touched].map(([path, ranges]) => ({ path, ranges }))
  })
}

function collect(card: Card, values: DeviceValues, hash: string | undefined, epoch: number): void {
  const { hostname, timezone } = values
  for (const root of card.roots) {
    if (hostname !== undefined) putHostname(root, hostname)
    if (timezone !== undefined) putTimezone(root, timezone)
  }
  if (values.user !== undefined || hash !== undefined || values.sshKeys.length > 0) {
    putUser(card, values, hash, epoch)
  }
  putWifi(card, values)
}
