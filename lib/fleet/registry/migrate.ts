/** Brings a registry file to our version: a new one, one of the documented schema, one of the older tool's. */
import { FleetsieError } from '../../errors.ts'
import { hashOtp } from '../names.ts'
import { damaged, type FleetDatabase } from './database.ts'
import {
  devicesIndexes,
  devicesTable,
  documentedColumns,
  mainTables,
  ownTables,
  registryVersion,
} from './schema.ts'

/** An OTP of a device that nobody has claimed. */
export interface ClearOtp {
  fleet: string
  id_in_fleet: number
  otp: string
}

interface Column {
  name: string
  type: string
  notnull: number
}

/**
 * Taken over once, in one transaction: OTPs are hashed, private keys blanked; columns and tables that are not ours stay.
 * Answers the OTPs that were in clear. Fails with E_DAMAGED for a file of another kind, E_UNSUPPORTED for a later version.
 */
export function migrate(db: FleetDatabase, kind: 'main' | 'fleet'): ClearOtp[] {
  const version = (): number => db.pragma('user_version') as number
  if (version() > registryVersion) {
    throw new FleetsieError('E_UNSUPPORTED', `the database is of a later version (${version()})`, {
      file: db.file,
      hint: 'set the server up with the newer program: fleetsie srv USER@SERVER',
    })
  }
  checkObjects(db)
  if (version() === registryVersion) {
    checkColumns(db)
    checkOwnTables(db)
    return []
  }
  const { older, clear } = db.transaction(() => {
    const older = columnsOf(db, 'devices').length > 0
    if (!older) db.exec(devicesTable)
    checkColumns(db)
    allowNoAddress(db)
    makeIndexes(db)
    db.exec(ownTables)
    if (kind === 'main') db.exec(mainTables)
    const clear = hashOtps(db)
    blankPrivateKeys(db)
    if (!older) db.pragma(`user_version = ${registryVersion}`)
    return { older, clear }
  })
  if (older) {
    // The pages that the older tool freed still hold what was in them.
    db.exec('VACUUM')
    db.pragma(`user_version = ${registryVersion}`)
    db.pragma('wal_checkpoint(TRUNCATE)')
  }
  return clear
}

// What would run by itself in a file that another user may write.
function checkObjects(db: FleetDatabase): void {
  const found = db.get<{ type: string; name: string }>(
    `SELECT type, name FROM sqlite_schema
     WHERE type IN ('trigger', 'view') OR (type = 'table' AND sql LIKE 'CREATE VIRTUAL%') LIMIT 1`,
  )
  if (found) throw damaged(db.file, `the database holds a ${found.type}, ${JSON.stringify(found.name)}`)
}

function columnsOf(db: FleetDatabase, table: string): Column[] {
  return db.all<Column>('SELECT name, type, "notnull" FROM pragma_table_info(?)', table)
}

function checkColumns(db: FleetDatabase): void {
  const columns = new Set(columnsOf(db, 'devices').map(({ name }) => name))
  const missing = documentedColumns.find((name) => !columns.has(name))
  if (missing) throw damaged(db.file, `this is no database of a fleet: devices has no column ${missing}`)
}

// Fails as SQLite does where a table or a column is not there.
function checkOwnTables(db: FleetDatabase): void {
  db.get('SELECT lot, fleet, key, ts_generated, ts_expires, ts_revoked FROM lots LIMIT 0')
  db.get('SELECT lot, id_in_fleet FROM lot_devices LIMIT 0')
  db.get('SELECT fleet, login_key, server_keys FROM fleets LIMIT 0')
}

// The document declares ip_provisioned_from NOT NULL and says that it is left NULL. SQLite changes no such rule in place.
function allowNoAddress(db: FleetDatabase): void {
  const columns = columnsOf(db, 'devices')
  if (!columns.some(({ name, notnull }) => name === 'ip_provisioned_from' && notnull)) return
  const others = columns.filter(({ name }) => !documentedColumns.some((known) => known === name))
  db.exec('ALTER TABLE devices RENAME TO devices_before')
  db.exec(devicesTable)
  for (const { name, type } of others)
    db.exec(`ALTER TABLE devices ADD COLUMN ${quoted(name)} ${type && quoted(type)}`)
  const names = [...documentedColumns, ...others.map(({ name }) => quoted(name))].join(', ')
  db.exec(`INSERT INTO devices (${names}) SELECT ${names} FROM devices_before`)
  db.exec('DROP TABLE devices_before')
  db.run(`UPDATE devices SET ip_provisioned_from = NULL WHERE ip_provisioned_from = ''`)
}

/** An identifier of a schema that is not ours. */
export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`

function makeIndexes(db: FleetDatabase): void {
  const twice = db.get<{ tunnel_port: number; names: string }>(
    `SELECT tunnel_port, group_concat(hostname, ' and ') AS names FROM devices
     GROUP BY tunnel_port HAVING count(*) > 1 LIMIT 1`,
  )
  if (twice) {
    throw new FleetsieError('E_DAMAGED', `${twice.names} have the same tunnel port ${twice.tunnel_port}`, {
      file: db.file,
      hint: 'give all but one of them a free port between 20001 and 29999',
    })
  }
  db.exec(devicesIndexes)
}

function hashOtps(db: FleetDatabase): ClearOtp[] {
  const rows = db.all<ClearOtp & { id: number; hwid: string | null }>(
    `SELECT id, fleet, id_in_fleet, hwid, otp FROM devices WHERE otp NOT LIKE 'sha256:%'`,
  )
  for (const { id, otp } of rows) db.run('UPDATE devices SET otp = ? WHERE id = ?', hashOtp(String(otp)), id)
  return rows.filter(({ hwid }) => hwid === null)
}

// A claimed device has its key; one that nobody has claimed gets or makes another.
function blankPrivateKeys(db: FleetDatabase): void {
  db.run(`UPDATE devices SET device_private_key = '' WHERE device_private_key <> ''`)
  db.run(
    `UPDATE devices SET server_private_key = '' WHERE server_private_key <> '' AND server_private_key NOT LIKE 'sealed:v1:%'`,
  )
  db.run(`UPDATE devices SET server_public_key = '' WHERE hwid IS NULL AND server_public_key <> ''`)
}
