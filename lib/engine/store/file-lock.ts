/**
 * Locks that end with their process, even by SIGKILL. Node has no flock; SQLite takes POSIX locks on its file.
 *
 * Never open such a file by other means: a process that closes any descriptor of a file loses all its POSIX locks
 * on that file. SQLite knows this trap among its own connections.
 */
import { closeSync, openSync, statSync, unlinkSync } from 'node:fs'
import type { Layout } from './layout.ts'
import { type Sqlite, sqliteError } from './sqlite.ts'

/** Where locks are: a store's layout, or any folder. */
export type LockFolder = Pick<Layout, 'folder' | 'own' | 'prepare'>

export interface FileLock {
  /** Removes the file and lets go. */
  release(): void
}

/** Takes the lock of `file`, or answers undefined when somebody has it: another process or this one. */
export function tryFileLock(sqlite: Sqlite, layout: LockFolder, file: string): FileLock | undefined {
  for (;;) {
    create(layout, file)
    const inode = inodeOf(file)
    if (inode === undefined) continue
    let db: InstanceType<Sqlite> | undefined
    try {
      db = new sqlite(file, { timeout: 0, fileMustExist: true })
      // Nothing is ever written: no journal file beside the lock.
      db.pragma('journal_mode = MEMORY')
      db.exec('BEGIN IMMEDIATE')
    } catch (error) {
      db?.close()
      const code = String((error as { code?: unknown }).code)
      if (code.startsWith('SQLITE_BUSY')) return undefined
      // Whoever had it removed it between our look and our opening.
      if (inodeOf(file) !== inode) continue
      throw sqliteError(error, file)
    }
    // A lock on a file that was removed meanwhile excludes nobody.
    if (inodeOf(file) === inode) return held(db, file)
    db.close()
  }
}

// The file goes while it is still locked: those who wait on it see by its inode that it is no longer the lock.
function held(db: InstanceType<Sqlite>, file: string): FileLock {
  let done = false
  return {
    release: () => {
      if (done) return
      done = true
      try {
        unlinkSync(file)
      } catch {
        // The lock goes in any case; the next sweep takes the file.
      }
      db.close()
    },
  }
}

function create(layout: LockFolder, file: string): void {
  try {
    closeSync(openSync(file, 'wx', 0o644))
    layout.own(file)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code !== 'EEXIST' && code !== 'ENOENT') throw error
    if (code === 'ENOENT' && inodeOf(layout.folder) === undefined) throw error
    if (code === 'ENOENT') layout.prepare(false)
  }
}

function inodeOf(file: string): bigint | undefined {
  return statSync(file, { bigint: true, throwIfNoEntry: false })?.ino
}
