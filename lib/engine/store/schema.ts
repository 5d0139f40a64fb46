/** The store's database: its tables, and how it is opened. Times are milliseconds since 1970. */
import { existsSync, readFileSync, statSync } from 'node:fs'
import type { Layout } from './layout.ts'
import { Sql } from './sql.ts'
import { type Sqlite, sqliteError } from './sqlite.ts'
import { useWal } from './sqlite-file.ts'
import { databaseVersion, newerStore } from './version.ts'

// traces and definitions outlive their objects: the digest that a key led to goes on naming the keys above it, so
// what was evicted is made again only when something needs the bytes.
// refs says what an object was made from. It keeps nothing from gc: an output answers by its definition key when
// its inputs are gone. roots hold digests, not rows: a root whose object was damaged holds the object made next.
const tables = `
CREATE TABLE objects (
  digest TEXT PRIMARY KEY, name TEXT NOT NULL, folder TEXT NOT NULL UNIQUE, bytes INTEGER NOT NULL,
  created INTEGER NOT NULL, last_used INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX objects_last_used ON objects (last_used);
CREATE TABLE refs (
  referrer TEXT NOT NULL REFERENCES objects ON DELETE CASCADE, reference TEXT NOT NULL,
  PRIMARY KEY (referrer, reference)
) WITHOUT ROWID;
CREATE TABLE traces (
  key TEXT PRIMARY KEY, digest TEXT NOT NULL, ms INTEGER NOT NULL, created INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX traces_digest ON traces (digest);
CREATE TABLE definitions (
  definition_key TEXT PRIMARY KEY, digest TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX definitions_digest ON definitions (digest);
CREATE TABLE leases (
  process TEXT NOT NULL, digest TEXT NOT NULL REFERENCES objects ON DELETE CASCADE,
  PRIMARY KEY (process, digest)
) WITHOUT ROWID;
CREATE INDEX leases_digest ON leases (digest);
CREATE TABLE holders (
  key TEXT PRIMARY KEY, process TEXT NOT NULL, pid INTEGER NOT NULL, stage TEXT, since INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE roots (
  name TEXT NOT NULL, digest TEXT NOT NULL, folder TEXT NOT NULL, PRIMARY KEY (name, digest)
) WITHOUT ROWID;
CREATE INDEX roots_digest ON roots (digest);
CREATE TABLE tombstones (
  key TEXT PRIMARY KEY, reason TEXT NOT NULL, bytes INTEGER NOT NULL, at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE manifests (key TEXT PRIMARY KEY, json TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE runs (
  id INTEGER PRIMARY KEY, target TEXT NOT NULL, stage TEXT NOT NULL, key TEXT NOT NULL, at INTEGER NOT NULL
);
CREATE INDEX runs_stage ON runs (target, stage, id);
CREATE TABLE deployments (id TEXT PRIMARY KEY, key TEXT NOT NULL, files TEXT NOT NULL, at INTEGER NOT NULL)
WITHOUT ROWID;
CREATE TABLE statcache (path TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, sha256 TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE tools (sha256 TEXT PRIMARY KEY, version TEXT NOT NULL) WITHOUT ROWID;
`

// What version 2 added.
const builds = `
CREATE TABLE builds (
  id INTEGER PRIMARY KEY, target TEXT NOT NULL, at INTEGER NOT NULL, ms INTEGER NOT NULL, stages TEXT NOT NULL
);
CREATE INDEX builds_target ON builds (target, id);
`

const busyMs = 60_000

export function openDatabase(sqlite: Sqlite, layout: Layout, readOnly: boolean): Sql {
  const file = layout.database
  try {
    return readOnly ? openReading(sqlite, file) : openWriting(sqlite, layout)
  } catch (error) {
    throw sqliteError(error, file)
  }
}

function openWriting(sqlite: Sqlite, layout: Layout): Sql {
  const file = layout.database
  const db = new sqlite(file, { timeout: busyMs })
  try {
    // Before the first write: SQLite gives the -wal and -shm that root makes the owner of the database.
    layout.own(file)
    const sql = new Sql(db, file)
    // Two processes may make a new database at once.
    useWal(sql, busyMs)
    sql.pragma('synchronous = NORMAL')
    sql.pragma('foreign_keys = ON')
    migrate(sql, file)
    return sql
  } catch (error) {
    db.close()
    throw error
  }
}

function migrate(sql: Sql, file: string): void {
  const current = (): number => sql.pragma('user_version') as number
  if (current() === databaseVersion) return
  sql.transaction(() => {
    const version = current()
    if (version > databaseVersion) throw newerStore(file, version, databaseVersion)
    if (version === databaseVersion) return
    if (version === 0) sql.exec(tables)
    sql.exec(builds)
    sql.pragma(`user_version = ${databaseVersion}`)
  })
}

function openReading(sqlite: Sqlite, file: string): Sql {
  const wal = `${file}-wal`
  let sql: Sql
  try {
    sql = new Sql(new sqlite(file, { readonly: true, fileMustExist: true, timeout: busyMs }), file)
    sql.pragma('user_version')
  } catch (error) {
    // Without the right to make a -shm, SQLite refuses a WAL database even for reading. When nothing is in the
    // -wal, the file is whole, and a copy in memory (its header says "no WAL") will do.
    if (!existsSync(file) || (existsSync(wal) && statSync(wal).size > 0)) throw error
    const copy = readFileSync(file)
    if (copy.length >= 20) copy.fill(1, 18, 20)
    sql = new Sql(new sqlite(copy), file)
  }
  const version = sql.pragma('user_version') as number
  if (version > databaseVersion) throw newerStore(file, version, databaseVersion)
  return sql
}
