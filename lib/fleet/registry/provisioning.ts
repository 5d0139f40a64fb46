/** provisioning.sqlite: the OTPs in clear, of the devices that nobody has claimed. What is lost of it is made anew. */
import { lstatSync, rmSync } from 'node:fs'
import { FleetsieError } from '../../errors.ts'
import { otpPattern } from '../names.ts'
import { type FleetDatabase, writeSafely } from './database.ts'
import { checkWhole } from './fleet-rows.ts'
import { ensureFile, fleetMode, openFile } from './open.ts'
import { provisioningFile } from './paths.ts'
import { provisioningTable } from './schema.ts'

/** id_in_fleet → the OTP in clear. */
export type Otps = Map<number, string>

/** Undefined for a file that is not there, or is no such database: it will be made anew. */
export function readProvisioning(folder: string, fleet: string): Otps | undefined {
  const file = provisioningFile(folder, fleet)
  if (lstatSync(file, { throwIfNoEntry: false }) === undefined) return undefined
  try {
    const db = openFile(file)
    try {
      checkWhole(db)
      return readOtps(db)
    } finally {
      db.close()
    }
  } catch (error) {
    if (error instanceof FleetsieError && error.code === 'E_DAMAGED') return undefined
    throw error
  }
}

function readOtps(db: FleetDatabase): Otps {
  const rows = db.all<{ id_in_fleet: unknown; otp: unknown }>(
    'SELECT id_in_fleet, otp FROM devices WHERE length(CAST(otp AS BLOB)) = 256',
  )
  return new Map(
    rows.flatMap(({ id_in_fleet: id, otp }) =>
      typeof id === 'number' && typeof otp === 'string' && otpPattern.test(otp) ? [[id, otp] as const] : [],
    ),
  )
}

/** Makes the file hold just `otps`; `anew`: whatever is there goes. The caller holds the Fleet database's write lock. */
export function writeProvisioning(folder: string, fleet: string, otps: Otps, anew: boolean): void {
  const file = provisioningFile(folder, fleet)
  if (anew) for (const end of ['', '-journal', '-wal', '-shm']) rmSync(`${file}${end}`, { force: true })
  ensureFile(file, fleetMode)
  const db = openFile(file)
  try {
    // It is copied as a file: all of it has to be in the file.
    db.pragma('journal_mode = DELETE')
    writeSafely(db)
    db.transaction(() => {
      if (anew) db.exec(provisioningTable)
      const present = readOtps(db)
      if (!anew) removeOthers(db, otps)
      for (const [id, otp] of otps) {
        if (present.get(id) === otp) continue
        db.run('INSERT OR REPLACE INTO devices (id_in_fleet, otp) VALUES (?, ?)', id, otp)
      }
    })
  } finally {
    db.close()
  }
}

function removeOthers(db: FleetDatabase, otps: Otps): void {
  for (const { id } of db.all<{ id: number }>('SELECT id_in_fleet AS id FROM devices')) {
    if (!otps.has(id)) db.run('DELETE FROM devices WHERE id_in_fleet = ?', id)
  }
}
