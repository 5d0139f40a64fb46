/** Work in the caller's store under sudo, without leaving files of root there. */
import { stat } from 'node:fs/promises'
import { callerOf } from '../images/caller.ts'
import { storeFolder } from './store-folder.ts'

/**
 * Runs `work` with the rights of the user behind sudo, then takes root's back: a folder of root's in that store could not be
 * removed by its owner's next gc. Without sudo, and in a store that is another's, it just runs.
 */
export async function asCaller<T>(env: NodeJS.ProcessEnv, work: () => Promise<T>): Promise<T> {
  const caller = callerOf(env)
  const store = caller && (await stat(await storeFolder(env)).catch(() => undefined))
  if (!caller || (store && store.uid !== caller.uid)) return work()
  process.setegid!(caller.gid)
  process.seteuid!(caller.uid)
  try {
    return await work()
  } finally {
    process.seteuid!(0)
    process.setegid!(0)
  }
}
