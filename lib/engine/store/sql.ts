/** A database of the store: when the disk is full, the store may make room, and what failed is done again. */
import type Database from 'better-sqlite3'
import { FleetsieError } from '../../errors.ts'
import { sqliteError } from './sqlite.ts'
import { SqliteFile, type Value } from './sqlite-file.ts'

export class Sql extends SqliteFile {
  /** Called when the disk is full; true when there is more room now. */
  onFull: () => boolean = () => false

  constructor(db: Database.Database, file: string) {
    super(() => db, file, sqliteError)
  }

  override run(sql: string, ...values: Value[]): number {
    const run = (): number => super.run(sql, ...values)
    return this.inTransaction ? run() : this.#twice(run)
  }

  /**
   * Part of the transaction that there is, or one of its own. `work` must do when it is run again after a full disk, or
   * say `once`.
   */
  override transaction<T>(work: () => T, times?: 'once'): T {
    if (this.inTransaction) return work()
    const once = (): T => super.transaction(work)
    return times === 'once' ? once() : this.#twice(once)
  }

  #twice<T>(work: () => T): T {
    try {
      return work()
    } catch (error) {
      const code = error instanceof FleetsieError && (error.cause as { code?: unknown } | undefined)?.code
      if (code !== 'SQLITE_FULL' || !this.onFull()) throw error
      return work()
    }
  }
}
