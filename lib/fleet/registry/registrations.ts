/** New registrations, copied from Fleet to Main. */
import { hwidPattern } from '../names.ts'
import { damaged, type FleetDatabase } from './database.ts'
import type { FleetRows } from './fleet-rows.ts'
import { type DeviceRow, documentedColumns } from './schema.ts'

/** Main's devices of one fleet, in their order. */
export function mainRows(main: FleetDatabase, fleet: string): DeviceRow[] {
  return main.all<DeviceRow>(
    `SELECT ${documentedColumns.join(', ')} FROM devices WHERE fleet = ? ORDER BY id_in_fleet`,
    fleet,
  )
}

/** How Main keeps a registration whose hardware id it has already: unique, and never taken for unclaimed. */
const collision = (id: number, hwid: string): string => `collision:${id}:${hwid}`

/** The hardware id behind Main's form of it. */
export const plainHwid = (hwid: string | null): string | null => hwid?.replace(/^collision:\d+:/, '') ?? null

/**
 * Copies what Main does not know yet; call it in a transaction of Main. A hardware id that another device has is kept as
 * `collision:…` and told each time, until that device is revoked. Fails with E_DAMAGED for a claimed device that Main has
 * never heard of: Main is an older copy then, and would give the number away again.
 */
export function copyRegistrations(
  main: FleetDatabase,
  fleet: string,
  rows: FleetRows,
  file: string,
): string[] {
  const warnings: string[] = []
  const known = new Map(mainRows(main, fleet).map((row) => [row.id_in_fleet, row]))
  for (const row of rows.values()) {
    const hwid = row.hwid?.toLowerCase()
    if (hwid === undefined || !hwidPattern.test(hwid)) continue
    const own = known.get(row.id_in_fleet)
    if (!own) {
      throw damaged(file, `${fleet}-${row.id_in_fleet} is claimed, but fleets.sqlite does not know it`)
    }
    if (own.hwid !== null && own.hwid !== collision(own.id, hwid)) continue
    const other = main.get<{ hostname: string }>('SELECT hostname FROM devices WHERE hwid = ?', hwid)
    if (other) {
      warnings.push(
        `${own.hostname} and ${other.hostname} have the same hardware id ${hwid}: revoke the one that is gone`,
      )
    }
    main.run(
      `UPDATE devices SET hwid = ?, otp = ?, ts_registered = ?, ip_provisioned_from = ?, server_public_key = ?
       WHERE id = ?`,
      other ? collision(own.id, hwid) : hwid,
      row.otp,
      row.ts_registered,
      row.ip_provisioned_from || null,
      // Once it is copied, Main has the word: a key that was changed since stays.
      own.hwid === null ? row.server_public_key : own.server_public_key,
      own.id,
    )
  }
  return warnings
}
