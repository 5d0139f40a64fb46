/**
 * The ids of calls that have not ended well: the same command line, run again after a crash or a cut connection, goes on
 * with the id that it had, and the server allocates nothing twice.
 */
import { createHash, randomUUID } from 'node:crypto'
import { readdir, rename, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { callerOf, stateFolder } from '../../images/caller.ts'
import { makeFolder, replaceWithBytes } from '../../images/replace-file.ts'
import { startOf } from '../../images/values/secret-folder.ts'

type Environment = Readonly<Record<string, string | undefined>>

export interface PendingRequest {
  id: string
  /** When the call was made that did not end, if it is gone on with. */
  since: Date | undefined
  /** To be called when the call has ended well. */
  done(): Promise<void>
}

const uuid = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}'

/**
 * The id for a call that `words` tell: of a process that is gone, or a new one. The file's name holds all: it is taken
 * over by a rename, which one process can do.
 */
export async function pendingRequest(env: Environment, words: readonly string[]): Promise<PendingRequest> {
  const folder = await requestsFolder(env)
  const call = createHash('sha256').update(words.join('\0')).digest('hex').slice(0, 16)
  const owner = `${process.pid}-${startOf(process.pid)}`
  const pattern = new RegExp(`^${call}\\.(${uuid})\\.(\\d+)-(\\d+)$`)
  for (const name of (await readdir(folder)).sort()) {
    const found = pattern.exec(name)
    if (!found) continue
    const [, id, pid, start] = found
    if (startOf(Number(pid)) === start) continue
    const since = (await stat(join(folder, name)).catch(() => undefined))?.mtime
    const own = join(folder, `${call}.${id}.${owner}`)
    const taken = await rename(join(folder, name), own).then(
      () => true,
      () => false,
    )
    if (!taken || !since) continue
    await utimes(own, since, since)
    return { id: id!, since, done: () => rm(own, { force: true }) }
  }
  const id = randomUUID()
  const own = join(folder, `${call}.${id}.${owner}`)
  await replaceWithBytes(own, Buffer.alloc(0), { mode: 0o600, caller: callerOf(env) })
  return { id, since: undefined, done: () => rm(own, { force: true }) }
}

/** `$XDG_STATE_HOME/fleetsie/requests`. */
async function requestsFolder(env: Environment): Promise<string> {
  const folder = join(await stateFolder(env), 'requests')
  await makeFolder(folder, 0o700, callerOf(env))
  return folder
}
