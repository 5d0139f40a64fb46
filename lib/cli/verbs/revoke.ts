/** `revoke`: a device, a disk or a fleet loses what it has on its server, at once. */
import { FleetsieError } from '../../errors.ts'
import { callServer } from '../../fleet/client/call.ts'
import { type FleetPlace, findPlace, rememberHost } from '../../fleet/client/fleet-folder.ts'
import { lotPattern, parseDevice } from '../../fleet/names.ts'
import { type RevokeReply, type RevokeRequest, revokeReply } from '../../fleet/server/protocol.ts'
import { findDevicePlace } from '../fleet/device-name.ts'
import { onFleetServer } from '../fleet/server.ts'
import { terminalPrompts } from '../prompts.ts'
import type { Session } from '../session.ts'

interface RevokeOptions {
  json?: boolean
  host?: string
  lot?: string
  readmit?: boolean
  yes?: boolean
}

const readmitted = '; its hardware may claim another place, with a disk that has one left'

export async function revoke(session: Session, name: string, options: RevokeOptions): Promise<void> {
  await session.show(options)
  const { place, request } = await orderOf(name, options)
  if (request.device === undefined && request.lot === undefined && !options.yes) await agree(session, place)
  const started = performance.now()
  const reply = await onFleetServer(session, place, (host) =>
    callServer(host, request, revokeReply, { signal: session.signal }),
  )
  await rememberHost(process.env, place)
  for (const message of reply.warnings) session.emit({ type: 'warning', message })
  const text = textOf(reply, name) + (options.readmit ? readmitted : '')
  session.emit({ type: 'answer', text, data: { ...reply, ms: Math.round(performance.now() - started) } })
}

async function orderOf(
  name: string,
  { host, lot, readmit }: RevokeOptions,
): Promise<{ place: FleetPlace; request: RevokeRequest }> {
  const isDevice = parseDevice(name.split('@')[0]!) !== undefined
  if (readmit && (lot !== undefined || !isDevice)) {
    throw new FleetsieError('E_USAGE', '--readmit is about the hardware of one device', {
      hint: 'fleetsie revoke barn-7 --readmit',
    })
  }
  if (lot !== undefined) {
    if (!lotPattern.test(lot.toLowerCase())) {
      throw new FleetsieError('E_USAGE', `${JSON.stringify(lot)} is no lot: 16 hexadecimal digits`, {
        hint: `fleetsie devices ${name} --disks`,
      })
    }
    const place = await findPlace(process.env, name, host)
    return { place, request: { do: 'revoke', fleet: place.fleet, lot: lot.toLowerCase() } }
  }
  if (isDevice) {
    const { place, idInFleet } = await findDevicePlace(name, host)
    const again = readmit ? { readmit } : {}
    return { place, request: { do: 'revoke', fleet: place.fleet, device: idInFleet, ...again } }
  }
  const place = await findPlace(process.env, name, host)
  return { place, request: { do: 'revoke', fleet: place.fleet } }
}

async function agree(session: Session, { fleet, host }: FleetPlace): Promise<void> {
  if (!process.stdin.isTTY) {
    throw new FleetsieError(
      'E_CANCELLED',
      `nothing was revoked: nobody is here to ask about all of ${fleet}`,
      {
        hint: 'with -y nothing is asked',
      },
    )
  }
  const details = [
    `Every device of ${fleet} on ${host} loses its tunnel, and every disk its claims, for ever.`,
  ]
  if (await terminalPrompts(session.signal).confirm(`Revoke the whole fleet ${fleet}?`, details)) return
  throw new FleetsieError('E_CANCELLED', 'cancelled; nothing was revoked')
}

function textOf({ devices, lots, already }: RevokeReply, name: string): string {
  if (devices.length === 0 && lots.length === 0) return `${name} was revoked before: nothing to do`
  const many = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`
  const what = [
    ...(devices.length === 1 ? [devices[0]!] : devices.length > 1 ? [many(devices.length, 'device')] : []),
    ...(lots.length > 0 ? [many(lots.length, 'disk')] : []),
  ]
  return `revoked: ${what.join(', ')}${already > 0 ? ` (${already} were before)` : ''}`
}
