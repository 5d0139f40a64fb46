/**
 * Opening Main and Fleet. A Fleet file is its fleet user's: it is never taken for more than it is. No link is followed, no
 * trigger or view of it runs, and its rows are checked where they are read.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  lstatSync,
  openSync,
  readSync,
  realpathSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import { busyMs, damaged, FleetDatabase } from './database.ts'
import { type ClearOtp, migrate } from './migrate.ts'
import { fleetFile, mainFile } from './paths.ts'

export interface Opened {
  db: FleetDatabase
  /** Whether the file was not there before. */
  made: boolean
  /** OTPs that an older file held in clear, now hashed. */
  clear: ClearOtp[]
}

/** Bytes. 10,000 devices take 10 MB. */
const maxSize = 4 * 1024 ** 3

/** fleets.sqlite in `folder`, the home of `fleetsie`; made when it is not there, taken over when it is an older one. */
export const openMain = (folder: string): Opened => openRegistry(mainFile(folder), 'main', 0o600)

/**
 * The mode of a fleet's two databases. Their journals are made by whichever of `fleetsie` and the fleet's user comes first,
 * with the mode of the database, and both must write them: the folder keeps everybody else out.
 */
export const fleetMode = 0o666

/** fleet.sqlite of one fleet. */
export const openFleet = (folder: string, fleet: string): Opened =>
  openRegistry(fleetFile(folder, fleet), 'fleet', fleetMode)

function openRegistry(file: string, kind: 'main' | 'fleet', mode: number): Opened {
  const made = ensureFile(file, mode)
  const db = openFile(file)
  try {
    useWal(db)
    db.pragma('synchronous = FULL')
    db.pragma('secure_delete = ON')
    return { db, made, clear: migrate(db, kind) }
  } catch (error) {
    db.close()
    throw error
  }
}

/** Makes an empty file unless one is there; answers whether it did. */
export function ensureFile(file: string, mode: number): boolean {
  try {
    const created = openSync(file, 'wx')
    try {
      // Whatever the umask is.
      fchmodSync(created, mode)
    } finally {
      closeSync(created)
    }
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

/**
 * Opens a file that may be another user's. Fails with E_UNSAFE where it is a link or no file, or where its journal would
 * have another file removed.
 */
export function openFile(file: string): FleetDatabase {
  checkFile(file)
  const db = new FleetDatabase(file)
  try {
    // As late as can be: the first read plays a journal back.
    checkJournal(`${file}-journal`)
    // The path that SQLite has opened, with all links resolved: nobody has put one there since the look.
    const opened = db.all<{ file: string }>('PRAGMA database_list')[0]?.file
    if (opened !== join(realpathSync(dirname(file)), basename(file))) throw notAFile(file)
    db.pragma('trusted_schema = OFF')
    db.pragma('cell_size_check = ON')
    return db
  } catch (error) {
    db.close()
    throw error
  }
}

function checkFile(file: string): void {
  for (const path of [file, `${file}-wal`, `${file}-shm`, `${file}-journal`]) {
    const found = lstatSync(path, { throwIfNoEntry: false })
    if (found && (!found.isFile() || found.nlink > 1)) throw notAFile(path)
    if (found && found.size > maxSize) throw damaged(path, 'a file of this size is no database of a fleet')
  }
}

// SQLite's file format, 3: a journal that ends so was one of several, and names the file that lists them. SQLite removes
// that file after playing back, whatever it is. No transaction of ours spans two databases.
const superJournal = Buffer.from('d9d505f920a163d7', 'hex')

function checkJournal(path: string): void {
  const journal = openPlain(path)
  if (journal === undefined) return
  try {
    const end = Buffer.alloc(superJournal.length)
    const at = fstatSync(journal).size - end.length
    if (at < 0 || readSync(journal, end, 0, end.length, at) < end.length || !end.equals(superJournal)) return
  } finally {
    closeSync(journal)
  }
  throw new FleetsieError('E_UNSAFE', 'this journal would have another file removed: it is not played back', {
    file: path,
    hint: 'see who put it there, then remove it',
  })
}

function openPlain(path: string): number | undefined {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    // What we cannot read, SQLite cannot play back.
    if (code === 'ENOENT' || code === 'EACCES') return undefined
    throw code === 'ELOOP' ? notAFile(path) : error
  }
}

function notAFile(file: string): FleetsieError {
  return new FleetsieError('E_UNSAFE', 'this is a link, or no file: it is not opened', {
    file,
    hint: 'see who put it there, then remove it',
  })
}

// SQLite does not wait for this one switch by itself.
function useWal(db: FleetDatabase): void {
  const until = Date.now() + busyMs
  for (;;) {
    try {
      if (db.pragma('journal_mode') !== 'wal') db.pragma('journal_mode = WAL')
      return
    } catch (error) {
      const code = ((error as FleetsieError).cause as { code?: string } | undefined)?.code
      if (!code?.startsWith('SQLITE_BUSY') || Date.now() > until) throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20)
    }
  }
}
