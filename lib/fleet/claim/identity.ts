/** The ten lines that a device gets with `Ok`, in the documented order. */
import type { FleetDatabase } from '../registry/database.ts'
import type { DeviceRow } from '../registry/schema.ts'

/** A row of `devices` with what only the older tool's newer databases have. */
export interface IdentityRow extends DeviceRow {
  user_pwd?: string | null
  root_pwd?: string | null
  zabbix_psk?: string | null
}

/** `privateKey` is that of `server_public_key` when the server has made it, else ''. */
export function identityLines(db: FleetDatabase, row: IdentityRow, privateKey: string): string[] {
  return [
    row.user_pwd ?? '',
    row.root_pwd ?? '',
    row.hostname,
    row.fleetuser,
    String(row.tunnel_port),
    row.server_public_key,
    privateKey,
    row.device_public_key,
    row.zabbix_psk || ofFleet(db, 'zabbix_fleet_psk', 'zabbix_psk', row.fleet),
    ofFleet(db, 'fleet_extra', 'extra', row.fleet),
  ]
}

/** What the older tool keeps for a whole fleet, in tables that only its own databases have. */
function ofFleet(db: FleetDatabase, table: string, column: string, fleet: string): string {
  if (!db.get(`SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?`, table)) return ''
  const sql = `SELECT "${column}" AS value FROM "${table}" WHERE fleet = ?`
  return String(db.get<{ value: unknown }>(sql, fleet)?.value ?? '')
}
