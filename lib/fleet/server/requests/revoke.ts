/**
 * `revoke`: a device, the claims of a disk, or all of a fleet. What is revoked can log in no more when this returns, and
 * who was logged in is out. Its number stays taken, its port is free for others. Twice is once.
 */
import { FleetsieError } from '../../../errors.ts'
import { hashOtp, hostname, makeOtp } from '../../names.ts'
import type { FleetDatabase } from '../../registry/database.ts'
import { devicesOf, isLive, lotsOf } from '../../registry/lots.ts'
import type { Otps } from '../../registry/provisioning.ts'
import { mainRows, plainHwid } from '../../registry/registrations.ts'
import type { DeviceRow } from '../../registry/schema.ts'
import type { Server } from '../../registry/server.ts'
import { updateFleet } from '../../registry/update.ts'
import type { RevokeReply, RevokeRequest } from '../protocol.ts'
import { connectedRevoked } from './unfinished.ts'

interface Revoked {
  devices: string[]
  lots: string[]
  already: number
}

/** Fails with E_INPUT for a device, lot or fleet that is not there, and as `updateFleet` does. */
export async function revoke(server: Server, request: RevokeRequest): Promise<RevokeReply> {
  const { fleet, device, lot } = request
  const reply = await updateFleet(
    server,
    fleet,
    {
      check: (main) => expectKnown(main, request),
      apply: (main, otps) => ({ result: change(main, request, otps, server.now()) }),
    },
    ({ result, warnings }) => ({ ...result, warnings }),
  )
  // Only now: who is thrown out before its line is gone comes back.
  if (device === undefined && lot === undefined) await server.helper.endSession(fleet, undefined)
  else {
    const hosts = new Set(connectedRevoked(server, fleet))
    hosts.add(device === undefined ? lot! : hostname(fleet, device))
    await server.helper.endSession(fleet, [...hosts])
  }
  return reply
}

/** Before anything of a fleet is made that is not there. */
function expectKnown(main: FleetDatabase, { fleet, device, lot, readmit }: RevokeRequest): void {
  if (device !== undefined && lot !== undefined) {
    throw new FleetsieError('E_INPUT', 'a device or a lot is revoked, not both at once')
  }
  if (readmit && device === undefined) {
    throw new FleetsieError('E_INPUT', 'the hardware of one device is let in again, not that of many')
  }
  const missing = (what: string): FleetsieError =>
    new FleetsieError('E_INPUT', `there is no ${what}`, { hint: `fleetsie devices ${fleet}` })
  if (device !== undefined) {
    const sql = 'SELECT 1 FROM devices WHERE fleet = ? AND id_in_fleet = ?'
    if (!main.get(sql, fleet, device)) throw missing(`device ${hostname(fleet, device)}`)
  } else if (lot !== undefined) {
    if (!main.get('SELECT 1 FROM lots WHERE fleet = ? AND lot = ?', fleet, lot)) {
      throw missing(`disk ${lot} of the fleet ${fleet}`)
    }
  } else if (!main.get('SELECT 1 FROM devices WHERE fleet = ?', fleet)) {
    throw missing(`fleet ${fleet} with devices on this server`)
  }
}

function change(main: FleetDatabase, request: RevokeRequest, otps: Otps, now: number): Revoked {
  const { fleet, device, lot, readmit } = request
  const result: Revoked = { devices: [], lots: [], already: 0 }
  for (const known of lotsOf(main, fleet)) {
    if (device !== undefined || (lot !== undefined && known.lot !== lot)) continue
    if (known.ts_revoked !== null) result.already++
    else {
      main.run('UPDATE lots SET ts_revoked = ? WHERE lot = ?', now, known.lot)
      result.lots.push(known.lot)
      renewOnlyOn(main, fleet, known.lot, otps, now)
    }
  }
  if (lot !== undefined) return result
  for (const row of mainRows(main, fleet)) {
    if (device !== undefined && row.id_in_fleet !== device) continue
    if (row.hwid?.startsWith('revoked:')) result.already++
    else {
      revokeDevice(main, row, now)
      result.devices.push(hostname(fleet, row.id_in_fleet))
    }
    if (readmit) forgetHardware(main, row)
  }
  return result
}

/** Whoever found the disk knows these passwords: what no other live disk has gets others. */
function renewOnlyOn(main: FleetDatabase, fleet: string, lot: string, otps: Otps, now: number): void {
  const elsewhere = new Set(
    lotsOf(main, fleet)
      .filter((other) => other.lot !== lot && isLive(other, now))
      .flatMap((other) => devicesOf(main, other.lot)),
  )
  for (const id of devicesOf(main, lot)) if (!elsewhere.has(id)) otps.delete(id)
}

function revokeDevice(main: FleetDatabase, row: DeviceRow, now: number): void {
  const former = plainHwid(row.hwid) ?? String(row.id)
  main.run(
    `UPDATE devices SET hwid = ?, tunnel_port = -id, otp = ?, server_private_key = '' WHERE id = ?`,
    `revoked:${now}:${former}`,
    // The OTP of a claimed device tells it, when it asks again, from one that guesses.
    row.hwid === null ? hashOtp(makeOtp()) : row.otp,
    row.id,
  )
  main.run('DELETE FROM rotations WHERE fleet = ? AND id_in_fleet = ?', row.fleet, row.id_in_fleet)
}

/** A device whose card was lost or written anew: the row says no longer which hardware had it. */
function forgetHardware(main: FleetDatabase, { id }: DeviceRow): void {
  const sql = `UPDATE devices SET hwid = 'revoked:' || substr(hwid, 9, instr(substr(hwid, 9), ':')) || id WHERE id = ?`
  main.run(sql, id)
}
