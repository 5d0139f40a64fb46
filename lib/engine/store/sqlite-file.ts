/** One SQLite database that is open: statements prepared once, errors in this program's words, bound parameters only. */
import type Database from 'better-sqlite3'

export type Value = string | number | bigint | null

export class SqliteFile {
  readonly file: string
  readonly #db: Database.Database
  readonly #explain: (error: unknown, file: string) => unknown
  readonly #statements = new Map<string, Database.Statement>()

  /** `explain` gives the error to throw for one that SQLite reports. */
  constructor(
    open: () => Database.Database,
    file: string,
    explain: (error: unknown, file: string) => unknown,
  ) {
    this.file = file
    this.#explain = explain
    this.#db = this.#guard(open)
  }

  get inTransaction(): boolean {
    return this.#db.inTransaction
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

  /** Takes the write lock, waiting for whoever has it, as long as the file was opened for. */
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

  /** All of `work` or nothing, alone among all processes. `work` must not wait for anything. */
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
      throw this.#explain(error, this.file)
    }
  }
}

/** Switches a file to WAL. SQLite does not wait for this one switch by itself: it is tried for `ms` milliseconds. */
export function useWal(db: SqliteFile, ms: number): void {
  const until = Date.now() + ms
  for (;;) {
    try {
      if (db.pragma('journal_mode') !== 'wal') db.pragma('journal_mode = WAL')
      return
    } catch (error) {
      const { code } = ((error as Error).cause ?? {}) as { code?: unknown }
      if (!String(code).startsWith('SQLITE_BUSY') || Date.now() > until) throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20)
    }
  }
}
