/** `list`: the devices of a fleet, with who is connected. Never a key of theirs, never an OTP. */
import { existsSync, readdirSync } from 'node:fs'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { FleetsieError } from '../../../errors.ts'
import { guessesIn } from '../../claim/guesses.ts'
import { fleetPattern, hostname, hwidPattern } from '../../names.ts'
import type { FleetContents } from '../../registry/fleet-files.ts'
import { devicesOf, lotsOf } from '../../registry/lots.ts'
import { fleetFile, fleetFolder } from '../../registry/paths.ts'
import { isInMain, readMain } from '../../registry/read-main.ts'
import type { DeviceRow } from '../../registry/schema.ts'
import type { Server } from '../../registry/server.ts'
import { type Presence, type PresencePlaces, presenceOf } from '../presence.ts'
import type { ListedDevice, ListedDisk, ListReply, ListRequest } from '../protocol.ts'
import { endRevoked, finishRevoking } from './unfinished.ts'

/** Ends what a call that was cut off left. Fails with E_INPUT where there is no such fleet, E_DAMAGED where its file holds what no device has. */
export async function list(
  server: Server,
  request: ListRequest,
  places?: PresencePlaces,
): Promise<ListReply> {
  const { folder } = server
  const { fleet, device } = request
  expectFleet(folder, fleet)
  let contents = await contentsOf(server, fleet)
  if (await finishRevoking(server, fleet, contents.rows)) contents = await contentsOf(server, fleet)
  await endRevoked(server, fleet, places)
  const { login_key, rows, lots } = contents
  const guesses = guessesIn(fleetFolder(folder, fleet), server.now())
  const disks = device === undefined ? disksOf(folder, fleet, rows) : []
  const presence = presenceOf(fleet, places)
  const asked = [...rows.values()]
    .filter(({ id_in_fleet: id }) => device === undefined || id === device)
    .sort((a, b) => a.id_in_fleet - b.id_in_fleet)
  return {
    fleets: [{ fleet, login_key: login_key || null, guesses, disks }],
    devices: asked.map((row) => listed(fleet, row, lots.get(row.id_in_fleet) ?? null, presence)),
  }
}

async function contentsOf(server: Pick<Server, 'files'>, fleet: string): Promise<FleetContents> {
  const files = server.files(fleet)
  try {
    const contents = await files.read()
    if (contents) return contents
  } finally {
    await files.close()
  }
  throw new FleetsieError('E_INPUT', `the fleet ${fleet} is still that of an older tool`, {
    hint: `take it over: fleetsie gen ${fleet} HOST 0`,
  })
}

/** By Main, which decides what a disk is good for; who has claimed, Fleet knows first. */
function disksOf(folder: string, fleet: string, rows: FleetContents['rows']): ListedDisk[] {
  const listed = readMain(folder, (main) =>
    lotsOf(main, fleet).map(({ lot, ts_generated, ts_expires, ts_revoked }): ListedDisk => {
      const devices = devicesOf(main, lot)
      const unclaimed = devices.filter((id) => rows.get(id)?.hwid === null).length
      const times = { generated: ts_generated, expires: ts_expires, revoked: ts_revoked }
      return { lot, ...times, devices: devices.length, unclaimed }
    }),
  )
  return listed ?? []
}

// Opening a database that is not there would make one.
function expectFleet(folder: string, fleet: string): void {
  if (existsSync(fleetFile(folder, fleet))) return
  if (isInMain(folder, fleet)) {
    throw new FleetsieError('E_INPUT', `the fleet ${fleet} has lost its folder on this server`, {
      hint: `make it anew from fleets.sqlite: fleetsie gen ${fleet} HOST 0`,
    })
  }
  const others = fleetsIn(folder)
  throw new FleetsieError('E_INPUT', `there is no fleet ${fleet} on this server`, {
    hint: others.length > 0 ? others.join(', ') : `make it: fleetsie gen ${fleet} HOST NUM`,
  })
}

function fleetsIn(folder: string): string[] {
  const fleets = join(folder, 'fleets')
  if (!existsSync(fleets)) return []
  return readdirSync(fleets)
    .filter((name) => fleetPattern.test(name) && existsSync(fleetFile(folder, name)))
    .sort()
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
