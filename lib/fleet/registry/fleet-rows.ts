/** What a Fleet file says of its devices, read as what another user may have written: each row is right, or nothing is. */
import { isIP } from 'node:net'
import { hwidPattern, otpHashPattern } from '../names.ts'
import { damaged, type FleetDatabase } from './database.ts'
import { type DeviceRow, documentedColumns } from './schema.ts'

/** By id_in_fleet. */
export type FleetRows = Map<number, DeviceRow>

/** Characters; what is longer is not read into memory. */
const limits: Record<keyof DeviceRow, number> = {
  id: 0,
  fleet: 64,
  id_in_fleet: 0,
  fleetuser: 64,
  hostname: 64,
  hwid: 100,
  otp: 100,
  ts_generated: 0,
  ts_registered: 0,
  tunnel_port: 0,
  device_public_key: 4096,
  device_private_key: 4096,
  server_public_key: 4096,
  server_private_key: 8192,
  ip_provisioned_from: 100,
}

/** One line of printable characters, as an ssh public key with its comment is. */
const line = /^[\x20-\x7e\u00a0-\uffff]*$/

/** Checks the file as a whole. Fails with E_DAMAGED. */
export function checkWhole(db: FleetDatabase): void {
  const found = db.pragma('quick_check(1)')
  if (found !== 'ok') throw damaged(db.file, `the database is damaged: ${String(found).slice(0, 200)}`)
}

/** Reads the devices of a Fleet file. Fails with E_DAMAGED, naming the first row that cannot be one of ours. */
export function readFleetRows(db: FleetDatabase, fleet: string): FleetRows {
  const long = documentedColumns
    .filter((name) => limits[name] > 0)
    .map((name) => `length(CAST(${name} AS BLOB)) > ${limits[name]}`)
  const odd = db.get<{ rowid: number }>(
    `SELECT rowid AS rowid FROM devices WHERE ${long.join(' OR ')} LIMIT 1`,
  )
  if (odd) throw damaged(db.file, `row ${odd.rowid} of devices holds more than a device's row can`)
  return checkRows(db.all<DeviceRow>(`SELECT ${documentedColumns.join(', ')} FROM devices`), fleet, db.file)
}

/** The rows by their number. Fails with E_DAMAGED, naming the first one that cannot be one of ours. */
export function checkRows(given: readonly DeviceRow[], fleet: string, file: string): FleetRows {
  const rows: FleetRows = new Map()
  for (const row of given) {
    const wrong = wrongColumn(row, fleet)
    if (wrong) throw damaged(file, `row ${String(row.id)} of devices: ${wrong} is not what it can be`)
    rows.set(row.id_in_fleet, row)
  }
  return rows
}

function wrongColumn(row: DeviceRow, fleet: string): keyof DeviceRow | undefined {
  const isText = (value: unknown): value is string => typeof value === 'string'
  const isTime = (value: unknown): boolean =>
    typeof value === 'number' && value >= 0 && value < 99_999_999_999
  if (!Number.isSafeInteger(row.id)) return 'id'
  if (row.fleet !== fleet) return 'fleet'
  if (!Number.isInteger(row.id_in_fleet) || row.id_in_fleet < 1 || row.id_in_fleet > 999_999_999)
    return 'id_in_fleet'
  if (row.hwid !== null && !(isText(row.hwid) && isClaimedBy(row.hwid))) return 'hwid'
  if (!isText(row.otp) || !otpHashPattern.test(row.otp)) return 'otp'
  if (!isTime(row.ts_generated)) return 'ts_generated'
  const least = row.hwid?.startsWith('revoked:') ? Number.MIN_SAFE_INTEGER : 1
  if (!Number.isInteger(row.tunnel_port) || row.tunnel_port > 65_535 || row.tunnel_port < least)
    return 'tunnel_port'
  if (row.ts_registered !== null && !isTime(row.ts_registered)) return 'ts_registered'
  if (!isText(row.server_public_key) || !line.test(row.server_public_key)) return 'server_public_key'
  const address = row.ip_provisioned_from
  if (address !== null && address !== '' && !(isText(address) && isIP(address))) return 'ip_provisioned_from'
  return undefined
}

function isClaimedBy(hwid: string): boolean {
  return hwidPattern.test(hwid.toLowerCase()) || /^revoked:\d{1,10}:[ -~]*$/.test(hwid)
}
