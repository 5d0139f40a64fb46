/** Whether devices that are named together are different ones. */
import { FleetsieError } from '../../errors.ts'
import { type CardHost, thisMachine } from '../devices/host.ts'
import { attribute, blockDevice } from '../devices/sysfs.ts'
import type { CardInfo } from '../devices/types.ts'
import { loopDevices } from './stack.ts'

type Named = Pick<CardInfo, 'name' | 'kind' | 'id' | 'disk' | 'size'>

/** Bytes of the file or device that a loop device shows. */
interface Shown {
  behind: string
  from: number
  to: number
}

/** Fails with E_UNSAFE for the first that is another one, or holds bytes of it. */
export async function expectDistinct(infos: readonly Named[], host: CardHost = thisMachine): Promise<void> {
  const shown = await Promise.all(infos.map((info) => shownBy(info, host)))
  for (const [index, one] of infos.entries()) {
    for (const [before, other] of infos.slice(0, index).entries()) {
      const part = (one.kind === 'partition') !== (other.kind === 'partition') && one.disk === other.disk
      const same = one.id === other.id || (part && one.disk !== undefined)
      if (!same && !overlap(shown[index], shown[before])) continue
      const what = one.name === other.name ? 'named twice' : `the same device as ${other.name}`
      throw new FleetsieError(
        'E_UNSAFE',
        `${one.name} is ${same ? what : `over the same file as ${other.name}`}`,
        {
          hint: 'name each device once',
        },
      )
    }
  }
}

/** Of a loop device, or a partition of one. */
async function shownBy({ id, disk, size }: Named, host: CardHost): Promise<Shown | undefined> {
  const loop = (await loopDevices(host)).find(({ device }) => device.name === disk)
  const device = loop && (await blockDevice(host, id))
  if (!device) return undefined
  const offset = Number((await attribute(device.diskFolder, 'loop/offset')) ?? 0)
  const from = offset + 512 * Number((await attribute(device.folder, 'start')) ?? 0)
  return { behind: loop.behind, from, to: from + size }
}

function overlap(one: Shown | undefined, other: Shown | undefined): boolean {
  return one !== undefined && one.behind === other?.behind && one.from < other.to && other.from < one.to
}
