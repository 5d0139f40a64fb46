/** Which devices a disk holds: each disk is a lot, with a key and an expiry, so that a lost one can be revoked by itself. */
import { FleetsieError } from '../../errors.ts'
import { hostname } from '../names.ts'
import type { FleetDatabase } from './database.ts'
import type { Otps } from './provisioning.ts'
import type { LotRow } from './schema.ts'

export interface Disk {
  lot: string
  key: string
  expires: number | null
  claimed: readonly number[]
  has: readonly number[]
}

interface Call {
  fleet: string
  disk: Disk
  /** Unix seconds. */
  now: number
  /** `all` unclaimed devices, or only `free` ones: those that it has, that no other live disk has, and `generated`. */
  which: 'all' | 'free'
  generated: { first: number; num: number; fresh: boolean }
}

/** The lots of a fleet, the oldest first. */
export function lotsOf(db: FleetDatabase, fleet: string): LotRow[] {
  return db.all<LotRow>('SELECT * FROM lots WHERE fleet = ? ORDER BY ts_generated, lot', fleet)
}

/** Whether a disk may claim. */
export function isLive({ ts_revoked, ts_expires }: LotRow, now: number): boolean {
  return ts_revoked === null && (ts_expires === null || ts_expires > now)
}

/** Fails with E_INPUT for a disk that cannot be one of this fleet. */
export function checkLot(db: FleetDatabase, fleet: string, disk: Disk, now: number): void {
  const refuse = (message: string): FleetsieError =>
    new FleetsieError('E_INPUT', message, { hint: 'remove `fleetsieauth` from the disk: it gets a new key' })
  const known = db.get<LotRow>('SELECT * FROM lots WHERE lot = ? OR key = ?', disk.lot, disk.key)
  if (known && known.fleet !== fleet) throw refuse(`the disk is of the fleet ${known.fleet}`)
  if (known && (known.lot !== disk.lot || known.key !== disk.key)) {
    throw refuse('the key of the disk is not the one that it had')
  }
  if (known && known.ts_revoked !== null) throw refuse('the disk was revoked')
  if (disk.expires !== null && disk.expires <= now) {
    const clock = new Date(now * 1000).toISOString().slice(0, 16)
    throw new FleetsieError('E_INPUT', "the disk's expiry is in the past", {
      hint: `by the server's clock it is ${clock}Z: compare that with yours`,
    })
  }
}

/**
 * Notes what the disk holds from now on; call it in a transaction of Main. OTPs that only dead disks had are taken out of
 * `otps`, so that they are made anew: whoever found such a disk knows the old ones.
 */
export function fillDisk(db: FleetDatabase, call: Call, otps: Otps): string[] {
  const { fleet, disk, now, which, generated } = call
  checkLot(db, fleet, disk, now)
  db.run(
    `INSERT INTO lots (lot, fleet, key, ts_generated, ts_expires) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (lot) DO UPDATE SET ts_expires = excluded.ts_expires`,
    disk.lot,
    fleet,
    disk.key,
    now,
    disk.expires,
  )
  const unclaimed = new Set(unclaimedIds(db, fleet))
  const { mine, live, dead } = holdings(db, fleet, disk.lot, now)
  const has = new Set(disk.has)
  for (let i = 0; i < generated.num; i += 1) has.add(generated.first + i)
  // The same call again, for the same disk.
  const again = !generated.fresh && mine.size > 0
  const wanted = [...unclaimed].filter((id) =>
    again ? mine.has(id) : which === 'all' || has.has(id) || !live.has(id),
  )
  const keep = new Set(wanted)
  for (const id of mine) if (unclaimed.has(id) && !keep.has(id)) takeOff(db, disk.lot, id)
  for (const id of wanted) {
    if (mine.has(id)) continue
    db.run('INSERT INTO lot_devices (lot, id_in_fleet) VALUES (?, ?)', disk.lot, id)
    const lots = dead.get(id)
    if (lots === undefined || live.has(id)) continue
    otps.delete(id)
    for (const lot of lots) takeOff(db, lot, id)
  }
  const usedUp = disk.claimed.filter((id) => keep.has(id)).slice(0, 20)
  const names = usedUp.map((id) => hostname(fleet, id)).join(', ')
  return names ? [`the disk had used up ${names}, which nobody has claimed: it holds them again`] : []
}

function takeOff(db: FleetDatabase, lot: string, id: number): void {
  db.run('DELETE FROM lot_devices WHERE lot = ? AND id_in_fleet = ?', lot, id)
}

function unclaimedIds(db: FleetDatabase, fleet: string): number[] {
  return db
    .all<{ id: number }>(
      'SELECT id_in_fleet AS id FROM devices WHERE fleet = ? AND hwid IS NULL ORDER BY id_in_fleet',
      fleet,
    )
    .map(({ id }) => id)
}

function holdings(
  db: FleetDatabase,
  fleet: string,
  own: string,
  now: number,
): { mine: Set<number>; live: Set<number>; dead: Map<number, string[]> } {
  const mine = new Set<number>()
  const live = new Set<number>()
  const dead = new Map<number, string[]>()
  for (const lot of lotsOf(db, fleet)) {
    for (const id of devicesOf(db, lot.lot)) {
      if (lot.lot === own) mine.add(id)
      else if (isLive(lot, now)) live.add(id)
      else dead.set(id, [...(dead.get(id) ?? []), lot.lot])
    }
  }
  return { mine, live, dead }
}

/** What a lot was given, claimed devices too. */
export function devicesOf(db: FleetDatabase, lot: string): number[] {
  return db
    .all<{ id: number }>('SELECT id_in_fleet AS id FROM lot_devices WHERE lot = ? ORDER BY id_in_fleet', lot)
    .map(({ id }) => id)
}
