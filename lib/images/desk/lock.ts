/** One verb at a time in a desk's folder. The lock ends with its process, however that ends. */
import { lchownSync } from 'node:fs'
import { join } from 'node:path'
import { type FileLock, tryFileLock } from '../../engine/store/file-lock.ts'
import { loadSqlite } from '../../engine/store/sqlite.ts'
import { FleetsieError } from '../../errors.ts'
import { type Caller, callerOf } from '../caller.ts'
import { makeFolder } from '../replace-file.ts'
import { refuseLinks } from './own-places.ts'
import { lockPlace, privateFolder } from './places.ts'

/**
 * Runs `work` while no other process has the desk's lock. All that changes what is mounted belongs inside: looking at
 * deskState, laying out, attachDesk, detachDesk, taking in. Fails with E_UNSAFE when another process has it or a link is
 * where the desk has a folder, with E_RIGHTS when the folder is somebody else's.
 */
export async function withDeskLock<T>(folder: string, work: () => Promise<T>): Promise<T> {
  const own = join(folder, privateFolder)
  const caller = callerOf(process.env)
  await refuseLinks(folder)
  const lock = await take(folder, caller).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'EROFS') {
      throw new FleetsieError('E_IO', 'the desk is on a filesystem that is read-only', {
        file: folder,
        hint: 'mount that one writable, or use a folder on another',
        cause,
      })
    }
    if (cause.code !== 'EACCES' && cause.code !== 'EPERM') throw cause
    throw new FleetsieError('E_RIGHTS', 'this user may not write to this folder', {
      file: own,
      hint: 'run this as the user who mounted, or with sudo',
      cause,
    })
  })
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

async function take(desk: string, caller: Caller | undefined): Promise<FileLock | undefined> {
  const own = join(desk, privateFolder)
  await makeFolder(own, 0o755, caller)
  const folder = {
    folder: own,
    own: (path: string): void => {
      if (caller) lchownSync(path, caller.uid, caller.gid)
    },
    prepare: (): void => {},
  }
  return tryFileLock(loadSqlite(), folder, join(desk, lockPlace))
}
