/** better-sqlite3, loaded only when a store is opened, and its errors in this program's words. */
import { createRequire } from 'node:module'
import type Database from 'better-sqlite3'
import { FleetsieError } from '../../errors.ts'

export type Sqlite = typeof Database

let loaded: Sqlite | undefined

// require, not import(): measured, 5 ms against 33 ms, on every build that has nothing to do.
const requireSqlite = (): Sqlite => createRequire(import.meta.url)('better-sqlite3')

/** Loads the database module. Fails with E_TOOL when this Node cannot: its binary fits one Node only. */
export function loadSqlite(load = requireSqlite): Sqlite {
  if (loaded && load === requireSqlite) return loaded
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major < 20 || (major === 20 && minor < 19)) {
    throw new FleetsieError('E_TOOL', `Node ${process.versions.node} is too old`, {
      hint: 'install Node 20.19 or later, 22 or 24',
    })
  }
  try {
    const sqlite = load()
    // The binary is loaded by the first database, not by the import.
    new sqlite(':memory:').close()
    loaded = sqlite
    return sqlite
  } catch (error) {
    const why = error instanceof Error ? error.message.split('\n')[0] : String(error)
    const node = `Node ${process.versions.node} (ABI ${process.versions.modules}, ${process.execPath})`
    throw new FleetsieError('E_TOOL', `better-sqlite3 does not load in ${node}: ${why}`, {
      hint: 'run `npm rebuild better-sqlite3` with this Node, or use the Node that ran `npm install`',
      cause: error,
    })
  }
}

/** The remedy for a damaged database. */
export const moveDatabaseAway =
  'move db.sqlite, db.sqlite-wal and db.sqlite-shm out of the store; what they knew is built again'

/** The error of a database file with a place and a remedy; what is not SQLite's is given back as it is. */
export function sqliteError(error: unknown, file: string): unknown {
  const code = (error as { code?: unknown } | null)?.code
  if (!(error instanceof Error) || typeof code !== 'string' || !code.startsWith('SQLITE_')) return error
  const fail = (kind: 'E_STORE' | 'E_IO', message: string, hint: string): FleetsieError =>
    new FleetsieError(kind, message, { file, hint, cause: error })
  if (/^SQLITE_(CORRUPT|NOTADB|FORMAT)/.test(code)) {
    return fail('E_STORE', `the store's database is damaged (${error.message})`, moveDatabaseAway)
  }
  if (code.startsWith('SQLITE_BUSY')) {
    return fail(
      'E_IO',
      'another process keeps the database locked',
      'end that process, then run the command again',
    )
  }
  if (code === 'SQLITE_FULL' || code === 'SQLITE_IOERR_SHMSIZE') {
    return fail('E_IO', "the store's disk is full", 'free some space, for example with `fleetsie gc`')
  }
  if (/^SQLITE_(READONLY|CANTOPEN|PERM|AUTH)/.test(code)) return notWritable(file, error)
  if (code.startsWith('SQLITE_IOERR')) {
    return fail('E_IO', `reading or writing the database failed (${error.message})`, 'check the disk')
  }
  return error
}

export function notWritable(file: string, cause: unknown): FleetsieError {
  return new FleetsieError('E_IO', 'the store cannot be written', {
    file,
    hint: 'become its owner, or set FLEETSIE_STORE to a folder that you can write',
    cause,
  })
}
