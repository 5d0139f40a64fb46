/** What a server knows of the devices of a fleet. */
import { FleetsieError } from '../../errors.ts'
import type { Host } from '../../hosts/ssh/types.ts'
import { hostname } from '../names.ts'
import { type ListedDevice, type ListReply, type ListRequest, listReply } from '../server/protocol.ts'
import { callServer } from './call.ts'

export interface Listed {
  devices: ListedDevice[]
  /** The line by which operators log in to the devices; null while there is none. */
  loginKey: string | null
  /** The disks that sent many wrong passwords. */
  guesses: ListReply['fleets'][number]['guesses']
  disks: ListReply['fleets'][number]['disks']
}

/**
 * The devices of `fleet`, or the one with the number `device`. Fails with E_INPUT where the server has no such fleet or
 * device, and with E_STAGE where it tells of others than it was asked for: whose port that is, nobody would know.
 */
export async function listDevices(
  host: Host,
  fleet: string,
  { signal, device }: { signal: AbortSignal; device?: number },
): Promise<Listed> {
  const request: ListRequest = { do: 'list', fleet, ...(device === undefined ? {} : { device }) }
  const { fleets, devices } = await callServer(host, request, listReply, { signal })
  const asked = (one: ListedDevice): boolean =>
    one.fleet === fleet && (device === undefined || one.id_in_fleet === device)
  const [known] = fleets
  if (known?.fleet !== fleet || fleets.length > 1 || !devices.every(asked)) {
    throw new FleetsieError('E_STAGE', `${host.name} told of other devices than it was asked for`, {
      hint: `bring the server to this version: fleetsie srv USER@${host.host}`,
    })
  }
  if (device !== undefined && devices.length !== 1) {
    throw new FleetsieError('E_INPUT', `there is no device ${hostname(fleet, device)}`, {
      hint: `fleetsie devices ${fleet}`,
    })
  }
  return { devices, loginKey: known.login_key, guesses: known.guesses, disks: known.disks }
}
