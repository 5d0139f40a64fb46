/** One program at a time changes the databases of a server. The lock ends with its process, even by SIGKILL. */
import { join } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import { busyMs, FleetDatabase } from './database.ts'
import { ensureFile } from './open.ts'

/** Waits for whoever has the lock; answers how to let go. Fails with E_IO after 30 s. */
export function lockServer(folder: string): () => void {
  const file = join(folder, 'fleets.lock')
  ensureFile(file, 0o600)
  const db = new FleetDatabase(file)
  try {
    // Nothing is ever written: SQLite takes POSIX locks, which Node cannot, and waits for them.
    db.pragma('journal_mode = MEMORY')
    db.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    db.close()
    const code = ((error as FleetsieError).cause as { code?: string } | undefined)?.code
    if (!code?.startsWith('SQLITE_BUSY')) throw error
    throw new FleetsieError('E_IO', `another fleetsie_gen_srv has been at work for ${busyMs / 1000} s`, {
      hint: 'run it again when that has ended; `ps -u fleetsie` lists it',
      cause: error,
    })
  }
  return () => db.close()
}
