/** FLEET-N, as the verbs for one device take it. */
import { FleetsieError } from '../../errors.ts'
import { type FleetPlace, findPlace } from '../../fleet/client/fleet-folder.ts'
import { parseDevice } from '../../fleet/names.ts'
import type { ListedDevice } from '../../fleet/server/protocol.ts'
import { since } from './device-lines.ts'

/** `FLEET-N` or `FLEET-N@HOST`: which number on which server. Fails with E_USAGE. */
export async function findDevicePlace(
  name: string,
  host: string | undefined,
): Promise<{ place: FleetPlace; idInFleet: number }> {
  const at = name.indexOf('@')
  const device = parseDevice(at < 0 ? name : name.slice(0, at))
  if (!device) {
    throw new FleetsieError('E_USAGE', `${JSON.stringify(name)} is no device`, {
      hint: 'a device is called FLEET-NUMBER: barn-7',
    })
  }
  const place = await findPlace(process.env, `${device.fleet}${at < 0 ? '' : name.slice(at)}`, host)
  return { place, idInFleet: device.idInFleet }
}

/** A device that holds its tunnel, with its port. Fails with E_INPUT and says since when it does not. */
export function expectOnline(device: ListedDevice): ListedDevice & { tunnel_port: number } {
  const { hostname, state, tunnel_port } = device
  if (state === 'online' && tunnel_port !== null) return { ...device, tunnel_port }
  const at = since(device)
  const when =
    at === null ? '' : ` since ${new Date(at * 1000).toISOString().slice(0, 16).replace('T', ' ')} UTC`
  switch (state) {
    case 'unclaimed':
      throw new FleetsieError('E_INPUT', `no device has claimed ${hostname} yet`)
    case 'revoked':
      throw new FleetsieError('E_INPUT', `${hostname} is revoked${when}`)
    default:
      throw new FleetsieError('E_INPUT', `${hostname} is not connected${device.seen === null ? '' : when}`, {
        hint:
          device.seen === null
            ? `it was not since the server started; it was claimed${when.replace('since', 'on')}`
            : 'it comes back by itself when it has a network',
      })
  }
}
