/** The disks of a fleet as lines of a table and as CSV. */
import type { ListedDisk } from '../../fleet/server/protocol.ts'

export const diskCsvHeader = 'lot,state,generated,expires,revoked,devices,unclaimed'
export const diskTableHeader = 'disk              state    made        claims until  unclaimed'

/** Whether it claims. `now`: unix seconds. */
function stateOf({ expires, revoked }: ListedDisk, now: number): 'live' | 'expired' | 'revoked' {
  if (revoked !== null) return 'revoked'
  return expires !== null && expires <= now ? 'expired' : 'live'
}

/** `ce320a6c21ba38fa  live     2026-11-20  2027-02-18    3 of 4` */
export function diskLine(disk: ListedDisk, now: number): string {
  const end = disk.revoked ?? disk.expires
  return [
    disk.lot,
    stateOf(disk, now).padEnd(7),
    iso(disk.generated).slice(0, 10),
    (end === null ? 'for ever' : iso(end).slice(0, 10)).padEnd(12),
    `${disk.unclaimed} of ${disk.devices}`,
  ].join('  ')
}

/** One row (RFC 4180): nothing in it needs quotes. */
export function diskCsvRow(disk: ListedDisk, now: number): string {
  const { lot, generated, expires, revoked, devices, unclaimed } = disk
  const time = (seconds: number | null): string => (seconds === null ? '' : iso(seconds))
  return [lot, stateOf(disk, now), time(generated), time(expires), time(revoked), devices, unclaimed].join(
    ',',
  )
}

function iso(seconds: number): string {
  return `${new Date(seconds * 1000).toISOString().slice(0, 19)}Z`
}
