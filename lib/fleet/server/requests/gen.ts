/** `gen`: allocates devices, fills a disk, and keeps the three databases in step. */
import { existsSync } from 'node:fs'
import { FleetsieError } from '../../../errors.ts'
import { fleetUser, hostname } from '../../names.ts'
import { type Allocated, allocate, allocatedBy, freePorts, takeBack } from '../../registry/allocate.ts'
import type { FleetDatabase } from '../../registry/database.ts'
import { checkLot, devicesOf, fillDisk } from '../../registry/lots.ts'
import { fleetFolder } from '../../registry/paths.ts'
import { isInMain } from '../../registry/read-main.ts'
import { checkRoom } from '../../registry/room.ts'
import type { FleetRow } from '../../registry/schema.ts'
import type { Server } from '../../registry/server.ts'
import { type FleetChange, type Updated, updateFleet } from '../../registry/update.ts'
import type { GenReply, GenRequest } from '../protocol.ts'

/** Fails with E_INPUT where there are too few ports or the disk cannot be this fleet's, and as `updateFleet` does. */
export function gen(server: Server, request: GenRequest): Promise<GenReply> {
  const { fleet, num, disk, serverKeys } = request
  const asksNothing = num === 0 && !disk && serverKeys === undefined
  const { folder } = server
  if (asksNothing && !existsSync(fleetFolder(folder, fleet)) && !isInMain(folder, fleet)) {
    return Promise.resolve({ fleet, fleetuser: fleetUser(fleet), generated: [], unclaimed: 0, warnings: [] })
  }
  const change: FleetChange<Allocated> = {
    check: (main) => {
      checkCase(main, fleet)
      if (!allocatedBy(main, request)) {
        freePorts(main, num)
        if (num > 0) checkRoom(server.folder, fleet, num)
      }
      if (disk) checkLot(main, fleet, disk, server.now())
    },
    apply: (main, otps) => {
      const now = server.now()
      const warnings = setTerms(main, request)
      const before = allocatedBy(main, request)
      const result = before ?? allocate(main, { fleet, num, request: request.request, now }, otps)
      const which = num > 0 ? 'free' : 'all'
      if (disk) warnings.push(...fillDisk(main, { fleet, disk, now, which, generated: result }, otps))
      return { result, warnings }
    },
    undo: (main, result) => {
      if (result.fresh) takeBack(main, fleet, request.request, result)
    },
  }
  return updateFleet(server, fleet, change, (updated) => ({
    ...reply(request, updated),
    now: server.now(),
  }))
}

// Users and folders that differ in case only are two on Linux, but host names are one.
function checkCase(main: FleetDatabase, fleet: string): void {
  const other = main.get<{ fleet: string }>(
    'SELECT fleet FROM devices WHERE fleet = ? COLLATE NOCASE AND fleet <> ? LIMIT 1',
    fleet,
    fleet,
  )
  if (!other) return
  throw new FleetsieError(
    'E_INPUT',
    `there is a fleet ${other.fleet}: host names know no upper and lower case`,
  )
}

function setTerms(main: FleetDatabase, { fleet, loginKey, serverKeys }: GenRequest): string[] {
  const before = main.get<FleetRow>('SELECT * FROM fleets WHERE fleet = ?', fleet)
  const kept = before?.login_key || loginKey || ''
  main.run(
    'INSERT OR REPLACE INTO fleets (fleet, login_key, server_keys) VALUES (?, ?, ?)',
    fleet,
    kept,
    Number(serverKeys ?? before?.server_keys === 1),
  )
  if (kept) {
    main.run(
      'UPDATE devices SET device_public_key = ? WHERE fleet = ? AND hwid IS NULL AND device_public_key <> ?',
      kept,
      fleet,
      kept,
    )
  }
  if (loginKey === undefined || keyOf(loginKey) === keyOf(kept)) return []
  return [
    'the fleet has the login CA of another machine: copy its login_ca here, else `fleetsie ssh` reaches no device',
  ]
}

const keyOf = (line: string): string | undefined => line.split(' ')[2]

function reply(request: GenRequest, { main, result, otps, warnings }: Updated<Allocated>): GenReply {
  const { fleet, disk } = request
  const generated = main.all<{ id_in_fleet: number; tunnel_port: number }>(
    `SELECT id_in_fleet, tunnel_port FROM devices WHERE fleet = ? AND id_in_fleet BETWEEN ? AND ?
     ORDER BY id_in_fleet`,
    fleet,
    result.first,
    result.first + result.num - 1,
  )
  const devices = disk ? devicesOf(main, disk.lot) : []
  return {
    fleet,
    fleetuser: fleetUser(fleet),
    generated: generated.map((row) => ({ ...row, hostname: hostname(fleet, row.id_in_fleet) })),
    unclaimed: otps.size,
    ...(disk && {
      disk: {
        devices: devices.flatMap((id) => {
          const otp = otps.get(id)
          return otp === undefined ? [] : [{ id_in_fleet: id, otp }]
        }),
      },
    }),
    warnings,
  }
}
