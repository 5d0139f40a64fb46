/**
 * Which device of its disk is offered to one that came second. The lowest unclaimed, as documented; but when many
 * ask together (copies of one disk), each is offered another: with the lowest alone, a hundred devices would need
 * five thousand logins.
 */
import type { FleetDatabase } from '../registry/database.ts'

/** As long as a device may take to come back: a queue of a thousand at 9 logins a second. */
const offeredSeconds = 120

// An offer binds nobody: a device that never comes back blocks nothing.
const notOffered = `AND NOT EXISTS (SELECT 1 FROM offers WHERE offers.id_in_fleet = devices.id_in_fleet
  AND offers.hwid <> ? AND ts BETWEEN ? AND ?)`

/** The `id_in_fleet` for `Try`, noted down as offered to `hwid`; undefined when nothing is left. */
export function nextToTry(
  db: FleetDatabase,
  { fleet, lot = null, now }: { fleet: string; lot?: string | null | undefined; now: number },
  hwid: string,
): number | undefined {
  const lowest = (more: string, ...values: (string | number)[]): number | undefined => {
    const sql = `SELECT id_in_fleet FROM devices WHERE fleet = ? AND hwid IS NULL AND (? IS NULL OR EXISTS
      (SELECT 1 FROM lot_devices WHERE lot = ? AND lot_devices.id_in_fleet = devices.id_in_fleet)) ${more}
      ORDER BY id_in_fleet LIMIT 1`
    return db.get<{ id_in_fleet: number }>(sql, fleet, lot, lot, ...values)?.id_in_fleet
  }
  const id = lowest(notOffered, hwid, now - offeredSeconds, now) ?? lowest('')
  if (id !== undefined) db.run('REPLACE INTO offers (id_in_fleet, hwid, ts) VALUES (?, ?, ?)', id, hwid, now)
  return id
}

/** Forgets that `idInFleet` was offered: it is claimed. */
export function taken(db: FleetDatabase, idInFleet: number): void {
  db.run('DELETE FROM offers WHERE id_in_fleet = ?', idInFleet)
}
