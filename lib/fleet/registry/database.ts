/** One SQLite file of the fleet: statements prepared once, errors in this program's words, bound parameters only. */
import type Database from 'better-sqlite3'
import { loadSqlite } from '../../engine/store/sqlite.ts'
import { FleetsieError } from '../../errors.ts'

export type Value = string | number | null

/** Long enough for 10,000 devices that another process allocates meanwhile. */
export const busyMs = 30_000

export class FleetDatabase {
  readonly file: string
  readonly #db: Database.Database
  readonly #statements = new Map<string, Database.Statement>()

  /** Opens a file that exists. Nothing is read yet. */
  constructor(file: string, readonly: boolean = false) {
    this.file = file
    this.#db = this.#guard(() => new (loadSqlite())(file, { fileMustExist: true, timeout: busyMs, readonly }))
  }

  get<Row>(sql: string, ...values: Value[]): Row | undefined {
    return this.#guard(() => this.#prepare(sql).get(...values) as Row | undefined)
  }

  all<Row>(sql: string, ...values: Value[]): Row[] {
    return this.#guard(() => this.#prepare(sql).all(...values) as Row[])
  }

  /** Answers how many rows changed. */
  run(sql: string, ...values: Value[]): number {
    return this.#guard(() => this.#prepare(sql).run(...values).changes)
  }

  exec(script: string): void {
    this.#guard(() => this.#db.exec(script))
  }

  pragma(text: string): unknown {
    return this.#guard(() => this.#db.pragma(text, { simple: true }))
  }

  /** Takes the write lock, waiting for whoever has it. Fails with E_IO after 30 s. */
  begin(): void {
    this.exec('BEGIN IMMEDIATE')
  }

  commit(): void {
    this.exec('COMMIT')
  }

  /** Does nothing where there is no transaction: a full disk may have ended it already. */
  rollback(): void {
    if (this.#db.inTransaction) this.exec('ROLLBACK')
  }

  /** All of `work` or nothing, alone among all processes. */
  transaction<T>(work: () => T): T {
    this.begin()
    try {
      const result = work()
      this.commit()
      return result
    } catch (error) {
      this.rollback()
      throw error
    }
  }

  close(): void {
    this.#statements.clear()
    this.#db.close()
  }

  #prepare(sql: string): Database.Statement {
    let statement = this.#statements.get(sql)
    if (!statement) {
      statement = this.#db.prepare(sql)
      this.#statements.set(sql, statement)
    }
    return statement
  }

  #guard<T>(work: () => T): T {
    try {
      return work()
    } catch (error) {
      throw databaseError(error, this.file)
    }
  }
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
