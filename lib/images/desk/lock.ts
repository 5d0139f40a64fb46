/** One verb at a time in a desk's folder. The lock ends with its process, however that ends. */
import { lchownSync } from 'node:fs'
import { join } from 'node:path'
import { tryFileLock } from '../../engine/store/file-lock.ts'
import { loadSqlite } from '../../engine/store/sqlite.ts'
import { FleetsieError } from '../../errors.ts'
import { callerOf } from '../caller.ts'
import { makeFolder } from '../replace-file.ts'
import { privateFolder } from './places.ts'

/**
 * Runs `work` while no other process has the desk's lock. All that changes what is mounted belongs inside: looking at
 * deskState, laying out, attachDesk, detachDesk, taking in. Fails with E_UNSAFE when another process has it.
 */
export async function withDeskLock<T>(folder: string, work: () => Promise<T>): Promise<T> {
  const own = join(folder, privateFolder)
  const caller = callerOf(process.env)
  await makeFolder(own, 0o755, caller)
  const lock = tryFileLock(
    loadSqlite(),
    {
      folder: own,
      own: (path) => {
        if (caller) lchownSync(path, caller.uid, caller.gid)
      },
      prepare: () => {},
    },
    join(own, 'lock'),
  )
  if (lock === undefined) {
    throw new FleetsieError('E_UNSAFE', 'another process is mounting or unmounting here', {
      file: folder,
      hint: 'wait until it has ended',
    })
  }
  try {
    return await work()
  } finally {
    lock.release()
  }
}
