/**
 * What a `revoke` that was cut off has left undone: a Fleet file that does not say it yet, a session that goes on. Each verb
 * looks for it and does it.
 */
import { hostname } from '../../names.ts'
import type { FleetRows } from '../../registry/fleet-rows.ts'
import { readMain } from '../../registry/read-main.ts'
import type { Server } from '../../registry/server.ts'
import { updateFleet } from '../../registry/update.ts'
import { isConnected, type PresencePlaces } from '../presence.ts'

type At = Pick<Server, 'folder'>

/** Brings a fleet in step whose Fleet file, as `rows`, has devices that Main says were revoked; answers whether it did. */
export async function finishRevoking(server: Server, fleet: string, rows: FleetRows): Promise<boolean> {
  const behind = revokedIn(server, fleet).some((id) => !rows.get(id)?.hwid?.startsWith('revoked:'))
  if (behind) await updateFleet(server, fleet, { apply: () => ({ result: undefined }) }, () => {})
  return behind
}

/** Ends the sessions of devices that were revoked. Call it when their lines are gone. */
export async function endRevoked(server: Server, fleet: string, places?: PresencePlaces): Promise<void> {
  const hosts = connectedRevoked(server, fleet, places)
  if (hosts.length > 0) await server.helper.endSession(fleet, hosts)
}

/** The host names of the devices that were revoked and are still there. */
export function connectedRevoked(server: At, fleet: string, places?: PresencePlaces): string[] {
  return revokedIn(server, fleet)
    .map((id) => hostname(fleet, id))
    .filter((host) => isConnected(fleet, host, places))
}

function revokedIn({ folder }: At, fleet: string): number[] {
  const sql = "SELECT id_in_fleet AS id FROM devices WHERE fleet = ? AND hwid LIKE 'revoked:%'"
  return readMain(folder, (main) => main.all<{ id: number }>(sql, fleet).map(({ id }) => id)) ?? []
}
