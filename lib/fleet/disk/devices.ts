/** The unclaimed devices of a disk: devices.sqlite, and the same as lines in devices.txt. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import { withSecretFolder } from '../../images/values/secret-folder.ts'
import { otpPattern } from '../names.ts'

export interface UnclaimedDevice {
  id_in_fleet: number
  otp: string
}

/** The documented schema of the provisioning database. */
const schema = 'CREATE TABLE devices (id_in_fleet INTEGER UNIQUE PRIMARY KEY NOT NULL, otp VARCHAR NOT NULL)'

async function sqlite() {
  return (await import('better-sqlite3')).default
}

/** The bytes of devices.sqlite. It is made in memory: its rows are secret, and a temporary file can be left behind. */
export async function devicesDatabase(devices: readonly UnclaimedDevice[]): Promise<Buffer> {
  const db = new (await sqlite())(':memory:')
  try {
    // A row that a device removes must not stay readable in a free page.
    db.pragma('secure_delete = ON')
    db.exec(schema)
    const insert = db.prepare('INSERT INTO devices (id_in_fleet, otp) VALUES (?, ?)')
    db.transaction(() => {
      for (const { id_in_fleet, otp } of ascending(devices)) insert.run(id_in_fleet, otp)
    })()
    return db.serialize()
  } finally {
    db.close()
  }
}

/** devices.txt: `ID OTP` a line, ascending. */
export function devicesList(devices: readonly UnclaimedDevice[]): Buffer {
  return Buffer.from(
    ascending(devices)
      .map(({ id_in_fleet, otp }) => `${id_in_fleet} ${otp}\n`)
      .join(''),
  )
}

/**
 * The rows of a devices.sqlite or provisioning.sqlite. `journal`: what a device left beside it when its power was cut,
 * which is rolled back first. Fails with E_DAMAGED.
 */
export async function readDevicesDatabase(
  bytes: Buffer,
  name: string,
  journal?: Buffer,
): Promise<UnclaimedDevice[]> {
  try {
    if (journal && journal.length > 0) {
      return await withSecretFolder(async (folder) => {
        const path = join(folder, 'devices.sqlite')
        await writeFile(path, bytes, { mode: 0o600 })
        await writeFile(`${path}-journal`, journal, { mode: 0o600 })
        return rows(path)
      })
    }
    // In memory there is no second file for a write-ahead log: the header says "rollback journal" for this reading.
    if (bytes.length >= 20 && bytes[18] === 2) bytes.fill(1, 18, 20)
    return await rows(bytes)
  } catch (cause) {
    throw new FleetsieError('E_DAMAGED', `${name} is no database of devices: ${(cause as Error).message}`, {
      cause,
    })
  }
}

async function rows(from: Buffer | string): Promise<UnclaimedDevice[]> {
  const db = new (await sqlite())(from)
  try {
    const found = db.prepare('SELECT id_in_fleet, otp FROM devices ORDER BY id_in_fleet').all()
    return (found as UnclaimedDevice[]).filter(isDevice)
  } finally {
    db.close()
  }
}

/** The lines of a devices.txt that are whole. */
export function readDevicesList(bytes: Buffer): UnclaimedDevice[] {
  return lines(bytes)
    .map((line) => line.trim().split(/\s+/))
    .map(([id, otp]) => ({ id_in_fleet: Number(id), otp: otp ?? '' }))
    .filter(isDevice)
}

/** The ids of a claimed.txt: a device appends its own when it has been claimed. */
export function readClaimed(bytes: Buffer): number[] {
  const ids = lines(bytes).filter((line) => /^\d{1,9}$/.test(line.trim()))
  return [...new Set(ids.map(Number))].filter((id) => id > 0).sort((a, b) => a - b)
}

/** Lines of a text that any editor and any system may have written. */
export function lines(bytes: Buffer): string[] {
  return bytes
    .toString('utf8')
    .replace(/^\ufeff/, '')
    .split(/\r\n|\r|\n/)
}

function isDevice({ id_in_fleet, otp }: UnclaimedDevice): boolean {
  return Number.isSafeInteger(id_in_fleet) && id_in_fleet > 0 && otpPattern.test(otp)
}

function ascending(devices: readonly UnclaimedDevice[]): UnclaimedDevice[] {
  return [...devices].sort((a, b) => a.id_in_fleet - b.id_in_fleet)
}
