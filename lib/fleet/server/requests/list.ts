/** `list`: the devices of one fleet or of all, with who is connected. Never a key of theirs, never an OTP. */
import { existsSync, readdirSync } from 'node:fs'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { FleetsieError } from '../../../errors.ts'
import { fleetPattern, hostname, hwidPattern } from '../../names.ts'
import type { FleetDatabase } from '../../registry/database.ts'
import { readFleetRows } from '../../registry/fleet-rows.ts'
import { openFile, openFleet } from '../../registry/open.ts'
import { fleetFile } from '../../registry/paths.ts'
import type { DeviceRow } from '../../registry/schema.ts'
import type { Server } from '../../registry/server.ts'
import { type Presence, type PresencePlaces, presenceOf } from '../presence.ts'
import type { ListedDevice, ListReply, ListRequest } from '../protocol.ts'

/** Fails with E_INPUT where there is no such fleet, E_DAMAGED where its file holds what no device has. */
export function list(
  { folder }: Pick<Server, 'folder'>,
  request: ListRequest,
  places?: PresencePlaces,
): ListReply {
  const fleets = request.fleet === undefined ? fleetsIn(folder) : [expectFleet(folder, request.fleet)]
  const reply: ListReply = { fleets: [], devices: [] }
  for (const fleet of fleets) {
    expectTakenOver(folder, fleet)
    const { db } = openFleet(folder, fleet)
    try {
      const known = db.get<{ login_key: string }>('SELECT login_key FROM fleets WHERE fleet = ?', fleet)
      reply.fleets.push({ fleet, login_key: known?.login_key || null })
      for (const device of devicesOf(db, fleet, request.device, presenceOf(fleet, places))) {
        reply.devices.push(device)
      }
    } finally {
      db.close()
    }
  }
  return reply
}

// Opening a database that is not there would make one.
function expectFleet(folder: string, fleet: string): string {
  if (existsSync(fleetFile(folder, fleet))) return fleet
  const others = fleetsIn(folder)
  throw new FleetsieError('E_INPUT', `there is no fleet ${fleet} on this server`, {
    hint: others.length > 0 ? `it has ${others.join(', ')}` : '`gen` makes one',
  })
}

// Whoever takes over a file of the older tool has to know where to put the OTPs that it holds in clear.
function expectTakenOver(folder: string, fleet: string): void {
  const db = openFile(fleetFile(folder, fleet))
  try {
    if (db.pragma('user_version') !== 0) return
  } finally {
    db.close()
  }
  throw new FleetsieError('E_INPUT', `the fleet ${fleet} is still that of an older tool`, {
    hint: `take it over: fleetsie gen ${fleet} HOST 0`,
  })
}

function fleetsIn(folder: string): string[] {
  const fleets = join(folder, 'fleets')
  if (!existsSync(fleets)) return []
  return readdirSync(fleets)
    .filter((name) => fleetPattern.test(name) && existsSync(fleetFile(folder, name)))
    .sort()
}

function* devicesOf(
  db: FleetDatabase,
  fleet: string,
  device: number | undefined,
  presence: ReadonlyMap<string, Presence>,
): Generator<ListedDevice> {
  const lots = new Map(
    db
      .all<{ id: number; lot: string }>(
        `SELECT id_in_fleet AS id, lot FROM lot_devices JOIN lots USING (lot) ORDER BY ts_generated`,
      )
      .map(({ id, lot }) => [id, lot]),
  )
  const rows = [...readFleetRows(db, fleet).values()]
    .filter(({ id_in_fleet: id }) => device === undefined || id === device)
    .sort((a, b) => a.id_in_fleet - b.id_in_fleet)
  for (const row of rows) {
    yield listed(fleet, row, lots.get(row.id_in_fleet) ?? null, presence)
  }
}

function listed(
  fleet: string,
  row: DeviceRow,
  lot: string | null,
  presence: ReadonlyMap<string, Presence>,
): ListedDevice {
  const name = hostname(fleet, row.id_in_fleet)
  const [, revoked, former] = /^revoked:(\d{1,12}):(.*)$/.exec(row.hwid ?? '') ?? []
  const seen = row.hwid === null || revoked !== undefined ? undefined : presence.get(name)
  // A link that leads elsewhere than the device's own port was not made by it.
  const online = seen?.online && seen.port === row.tunnel_port ? seen : undefined
  return {
    fleet,
    id_in_fleet: row.id_in_fleet,
    hostname: name,
    state: row.hwid === null ? 'unclaimed' : revoked ? 'revoked' : online ? 'online' : 'claimed',
    tunnel_port: revoked ? null : row.tunnel_port,
    hwid: revoked ? (hwidPattern.test(former ?? '') ? former! : null) : row.hwid,
    lot,
    generated: row.ts_generated,
    claimed: row.ts_registered,
    revoked: revoked === undefined ? null : Number(revoked),
    claimed_from: row.ip_provisioned_from || null,
    online: online ? { since: online.at ?? null, from: isIP(online.from ?? '') ? online.from! : null } : null,
    user: seen?.user ?? null,
    seen: !online && seen && !seen.online ? (seen.at ?? null) : null,
  }
}
