/** One writer of a disk at a time: two at once would leave the key of one there beside the devices of the other. */
import { lchownSync } from 'node:fs'
import { join } from 'node:path'
import { type FileLock, tryFileLock } from '../../engine/store/file-lock.ts'
import { loadSqlite } from '../../engine/store/sqlite.ts'
import { FleetsieError } from '../../errors.ts'
import { callerOf, stateFolder } from '../../images/caller.ts'
import { makeFolder } from '../../images/replace-file.ts'
import type { DiskPlace } from './place.ts'

interface Medium {
  /** What all names of the medium have in common: its device, or its inode. */
  id: string
  /** For messages. */
  name: string
  env: Readonly<Record<string, string | undefined>>
}

/**
 * Opens a place by `open`, which is given what lets the next one in. Fails with E_UNSAFE when another process of this
 * user has it; the lock ends with its process, however that ends.
 */
export async function alone(
  { id, name, env }: Medium,
  open: (release: () => void) => Promise<DiskPlace>,
): Promise<DiskPlace> {
  const lock = await take(id, env)
  if (!lock) {
    throw new FleetsieError('E_UNSAFE', `another gen is writing ${name}`, { hint: 'wait until it has ended' })
  }
  try {
    return await open(() => lock.release())
  } catch (error) {
    lock.release()
    throw error
  }
}

/** In the state folder of the user: on the disk itself a killed process would leave a file. */
async function take(id: string, env: Medium['env']): Promise<FileLock | undefined> {
  const caller = callerOf(env)
  const folder = join(await stateFolder(env), 'disks')
  await makeFolder(folder, 0o700, caller)
  const owned = {
    folder,
    own: (path: string): void => {
      if (caller) lchownSync(path, caller.uid, caller.gid)
    },
    prepare: (): void => {},
  }
  return tryFileLock(loadSqlite(), owned, join(folder, `${id.replace(/[^\w.-]/g, '_')}.lock`))
}
