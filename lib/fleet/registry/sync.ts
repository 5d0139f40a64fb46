/** Makes a Fleet database say what Main says: devices, lots, and what the fleet allows. */
import type { FleetDatabase } from './database.ts'
import type { FleetRows } from './fleet-rows.ts'
import { devicesOf, lotsOf } from './lots.ts'
import { quoted } from './migrate.ts'
import { mainRows, plainHwid } from './registrations.ts'
import { type DeviceRow, documentedColumns, type FleetRow, type LotRow } from './schema.ts'

/** As long as a device gets the same answer again, seconds; its sealed key is of no use afterwards. */
const sealedSeconds = 24 * 60 * 60

/** What Main has of a fleet, for its Fleet file. */
export interface Wanted {
  /** With plain hardware ids. */
  devices: DeviceRow[]
  /** Each with what it was given. */
  lots: (LotRow & { devices: number[] })[]
  terms: FleetRow | null
}

/** Reads it from Main. */
export function wantedOf(main: FleetDatabase, fleet: string): Wanted {
  return {
    devices: mainRows(main, fleet).map((row) => ({ ...row, hwid: plainHwid(row.hwid) })),
    lots: lotsOf(main, fleet).map((lot) => ({ ...lot, devices: devicesOf(main, lot.lot) })),
    terms: main.get<FleetRow>('SELECT * FROM fleets WHERE fleet = ?', fleet) ?? null,
  }
}

/** Call it in a transaction of Fleet, when Main is committed and every registration of `rows` is in it. */
export function syncFleet(
  fleetDb: FleetDatabase,
  fleet: string,
  { devices, lots, terms }: Wanted,
  rows: FleetRows,
  now: number,
): void {
  const wanted = devices.map((row) => wantedRow(row, rows.get(row.id_in_fleet), now))
  syncDevices(fleetDb, fleet, wanted, rows)
  syncLots(fleetDb, fleet, lots)
  syncTerms(fleetDb, fleet, terms)
}

function syncDevices(
  fleetDb: FleetDatabase,
  fleet: string,
  wanted: readonly DeviceRow[],
  rows: FleetRows,
): void {
  const numbers = new Set(wanted.map((row) => row.id_in_fleet))
  // Allocated by a call that was taken back; nobody has claimed them, else Main would know.
  const strays = [...rows.values()].filter((row) => !numbers.has(row.id_in_fleet))
  const changed = wanted.filter((row) => !sameRow(row, rows.get(row.id_in_fleet)))
  // All that goes before all that comes: a port or a hardware id may have moved from one to another.
  const kept = new Map<number, Record<string, string | number | null>>()
  for (const { id_in_fleet: id } of [...strays, ...changed]) {
    if (!rows.has(id)) continue
    const row = fleetDb.get<Record<string, string | number | null>>(
      'SELECT * FROM devices WHERE fleet = ? AND id_in_fleet = ?',
      fleet,
      id,
    )
    if (row) kept.set(id, row)
    fleetDb.run('DELETE FROM devices WHERE fleet = ? AND id_in_fleet = ?', fleet, id)
  }
  for (const row of changed) {
    // Columns of the older tool stay as they are.
    const all = { ...kept.get(row.id_in_fleet), ...row }
    const names = Object.keys(all)
    fleetDb.run(
      `INSERT INTO devices (${names.map(quoted).join(', ')}) VALUES (${names.map(() => '?').join(', ')})`,
      ...Object.values(all),
    )
  }
}

function wantedRow(row: DeviceRow, present: DeviceRow | undefined, now: number): DeviceRow {
  const sealed =
    row.hwid !== null &&
    present?.hwid?.toLowerCase() === row.hwid &&
    present.server_private_key.startsWith('sealed:v1:') &&
    now - (row.ts_registered ?? 0) <= sealedSeconds
  return {
    ...row,
    device_private_key: '',
    server_private_key: sealed ? present.server_private_key : '',
  }
}

function sameRow(a: DeviceRow, b: DeviceRow | undefined): boolean {
  return b !== undefined && documentedColumns.every((name) => a[name] === b[name])
}

function syncLots(fleetDb: FleetDatabase, fleet: string, lots: Wanted['lots']): void {
  for (const { lot } of fleetDb.all<{ lot: string }>(
    'SELECT lot FROM lots UNION SELECT lot FROM lot_devices',
  )) {
    if (lots.some((known) => known.lot === lot)) continue
    fleetDb.run('DELETE FROM lots WHERE lot = ?', lot)
    fleetDb.run('DELETE FROM lot_devices WHERE lot = ?', lot)
  }
  for (const { lot, key, ts_generated, ts_expires, ts_revoked, devices } of lots) {
    fleetDb.run(
      `INSERT OR REPLACE INTO lots (lot, fleet, key, ts_generated, ts_expires, ts_revoked)
       VALUES (?, ?, ?, ?, ?, ?)`,
      lot,
      fleet,
      key,
      ts_generated,
      ts_expires,
      ts_revoked,
    )
    const wanted = new Set(devices)
    for (const id of devicesOf(fleetDb, lot)) {
      if (!wanted.delete(id))
        fleetDb.run('DELETE FROM lot_devices WHERE lot = ? AND id_in_fleet = ?', lot, id)
    }
    for (const id of wanted) {
      fleetDb.run('INSERT INTO lot_devices (lot, id_in_fleet) VALUES (?, ?)', lot, id)
    }
  }
}

function syncTerms(fleetDb: FleetDatabase, fleet: string, terms: FleetRow | null): void {
  fleetDb.run('DELETE FROM fleets WHERE fleet <> ?', fleet)
  if (!terms) return
  fleetDb.run(
    'INSERT OR REPLACE INTO fleets (fleet, login_key, server_keys) VALUES (?, ?, ?)',
    fleet,
    terms.login_key,
    terms.server_keys,
  )
}
