/**
 * The authorized_keys of a fleet's user, as the registry has it: one line for each live disk and each claimed device, and
 * for each key that a device is changing to. First comes who was revoked: with this file, in place at one moment, a device
 * is revoked, whatever the databases say yet.
 */
import { deviceLine, diskLine, revokedLine } from '../authorized-keys.ts'
import { publicKeyPattern } from '../names.ts'
import type { FleetDatabase } from './database.ts'
import { isLive, lotsOf } from './lots.ts'

/** `server`: how comments call this machine; `now`: unix seconds. */
export function authorizedKeys(db: FleetDatabase, fleet: string, server: string, now: number): string {
  const disks = lotsOf(db, fleet)
    .filter((lot) => isLive(lot, now))
    .map(({ lot, key }) => diskLine({ fleet, lot, key, server }))
  const devices = db
    .all<{ hostname: string; port: number; key: string }>(
      `SELECT id_in_fleet, hostname, tunnel_port AS port, server_public_key AS key FROM devices
       WHERE fleet = ? AND hwid IS NOT NULL AND hwid NOT LIKE 'revoked:%'
       UNION ALL SELECT id_in_fleet, hostname, tunnel_port, key FROM rotations JOIN devices USING (fleet, id_in_fleet)
       WHERE fleet = ? AND hwid IS NOT NULL AND hwid NOT LIKE 'revoked:%' ORDER BY id_in_fleet`,
      fleet,
      fleet,
    )
    .flatMap(({ hostname, port, key: line }) => {
      const key = line.split(' ', 2).join(' ')
      return publicKeyPattern.test(key) ? [deviceLine({ fleet, hostname, port, key })] : []
    })
  const revoked = db.all<{ id: number }>(
    "SELECT id_in_fleet AS id FROM devices WHERE fleet = ? AND hwid LIKE 'revoked:%' ORDER BY id_in_fleet",
    fleet,
  )
  const first = revoked.length > 0 ? [revokedLine(revoked.map(({ id }) => id))] : []
  return [...first, ...disks, ...devices].map((line) => `${line}\n`).join('')
}
