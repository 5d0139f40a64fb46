/** One SQLite file of the fleet, and what goes wrong with it in words for who runs the server. */
import { loadSqlite } from '../../engine/store/sqlite.ts'
import { SqliteFile } from '../../engine/store/sqlite-file.ts'
import { FleetsieError } from '../../errors.ts'

/** Long enough for 10,000 devices that another process allocates meanwhile. */
export const busyMs = 30_000

/** A file of the registry. Its transactions fail with E_IO when another process keeps it locked for 30 s. */
export class FleetDatabase extends SqliteFile {
  /** Opens a file that exists. Nothing is read yet. Fails with E_IO. */
  constructor(file: string, readonly: boolean = false) {
    super(
      () => new (loadSqlite())(file, { fileMustExist: true, timeout: busyMs, readonly }),
      file,
      databaseError,
    )
  }
}

/** What `work` makes of a database that was just opened; where that fails, it is closed. */
export function orClose<T>(db: FleetDatabase, work: () => T): T {
  try {
    return work()
  } catch (error) {
    db.close()
    throw error
  }
}

/** What is committed stays after a power cut, and what is deleted is nowhere in the file any more. */
export function writeSafely(db: FleetDatabase): void {
  db.pragma('synchronous = FULL')
  db.pragma('secure_delete = ON')
}

/** The error for a database file that holds something that it must not. */
export function damaged(file: string, what: string, cause?: unknown): FleetsieError {
  return new FleetsieError('E_DAMAGED', what, { file, hint: remedy(file), cause })
}

function remedy(file: string): string {
  if (file.endsWith('/fleet.sqlite')) {
    return 'put a good copy of it back; without one move it away: it is made anew, but claims since the last `gen` are lost'
  }
  if (file.endsWith('/provisioning.sqlite')) return 'remove it: it is made anew, with new passwords'
  return 'put a good copy of it back'
}

// What SQLite reports, for a file that may be another user's.
function databaseError(error: unknown, file: string): unknown {
  const code = (error as { code?: unknown } | null)?.code
  if (!(error instanceof Error) || typeof code !== 'string' || !code.startsWith('SQLITE_')) return error
  const io = (message: string, hint: string): FleetsieError =>
    new FleetsieError('E_IO', message, { file, hint, cause: error })
  if (code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED')) {
    return io(
      `another process kept the database locked for ${busyMs / 1000} s`,
      'run it again when that has ended',
    )
  }
  if (code === 'SQLITE_FULL' || code === 'SQLITE_IOERR_SHMSIZE') {
    return io('the disk of the fleets is full', 'free some space, then run it again: it goes on where it was')
  }
  if (/^SQLITE_(READONLY|CANTOPEN|PERM|AUTH)/.test(code)) {
    return io(
      `the database cannot be opened for writing (${error.message})`,
      'look at its owner and mode; `srv` sets them right',
    )
  }
  if (code.startsWith('SQLITE_IOERR'))
    return io(`reading or writing failed (${error.message})`, 'check the disk')
  return damaged(file, `the database is damaged (${error.message})`, error)
}
