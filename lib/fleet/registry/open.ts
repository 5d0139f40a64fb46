/** Opening Main and Fleet, each by the user whose file it is: no link is followed, no trigger or view runs. */
import { closeSync, fchmodSync, lstatSync, openSync, realpathSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { useWal } from '../../engine/store/sqlite-file.ts'
import { FleetsieError } from '../../errors.ts'
import { busyMs, damaged, FleetDatabase, orClose, writeSafely } from './database.ts'
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

/** The mode of a fleet's two databases and, for SQLite gives it to them, of their journals. */
export const fleetMode = 0o600

/** fleet.sqlite of one fleet. */
export const openFleet = (folder: string, fleet: string): Opened =>
  openRegistry(fleetFile(folder, fleet), 'fleet', fleetMode)

function openRegistry(file: string, kind: 'main' | 'fleet', mode: number): Opened {
  const made = ensureFile(file, mode)
  const db = openFile(file)
  return orClose(db, () => {
    useWal(db, busyMs)
    writeSafely(db)
    return { db, made, clear: migrate(db, kind) }
  })
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
 * Opens a file of the user that this process runs as: what is put in its place between the look and the opening is that
 * user's own doing. Fails with E_UNSAFE where it is a link or no file.
 */
export function openFile(file: string): FleetDatabase {
  checkFile(file)
  const db = new FleetDatabase(file)
  return orClose(db, () => {
    // The path that SQLite has opened, with all links resolved: nobody has put one there since the look.
    const opened = db.all<{ file: string }>('PRAGMA database_list')[0]?.file
    if (opened !== join(realpathSync(dirname(file)), basename(file))) throw notAFile(file)
    db.pragma('trusted_schema = OFF')
    db.pragma('cell_size_check = ON')
    return db
  })
}

function checkFile(file: string): void {
  for (const path of [file, `${file}-wal`, `${file}-shm`, `${file}-journal`]) {
    const found = lstatSync(path, { throwIfNoEntry: false })
    if (found && (!found.isFile() || found.nlink > 1)) throw notAFile(path)
    if (found && found.size > maxSize) throw damaged(path, 'a file of this size is no database of a fleet')
  }
}

function notAFile(file: string): FleetsieError {
  return new FleetsieError('E_UNSAFE', 'this is a link, or no file: it is not opened', {
    file,
    hint: 'see who put it there, then remove it',
  })
}
