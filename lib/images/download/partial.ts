/**
 * Half downloaded files, kept across failures in one folder of the user: SHA256.part, and SHA256.json beside it with
 * where it came from. Whoever downloads renames the file to a name with its process id, so that two never write one.
 */
import { randomBytes } from 'node:crypto'
import { lstat, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheFolder, callerOf, settle } from '../caller.ts'
import { isAlive } from '../is-alive.ts'
import { makeFolder, replaceWithBytes } from '../replace-file.ts'

/** Where the bytes of a partial file came from. */
export interface Origin {
  url: string
  validator: string | undefined
}

export interface PartialFile {
  readonly path: string
  origin: Origin | undefined
  /** Keeps what is there for the next attempt. */
  release(): Promise<void>
  /** Removes it: the bytes are wrong, or have been moved away. */
  discard(): Promise<void>
}

const claimedPattern = /^([0-9a-f]{64})\.(\d+)-[0-9a-f]{8}\.part$/

/** `$XDG_CACHE_HOME/fleetsie-downloads`, below the caller's ~/.cache when that is not set. */
export async function downloadFolder(): Promise<string> {
  return `${await cacheFolder(process.env)}-downloads`
}

/** Makes a folder for downloads; under sudo it is the caller's. */
export async function makeDownloadFolder(folder: string): Promise<void> {
  await makeFolder(folder, 0o755, callerOf(process.env))
}

/** Takes what an earlier attempt left of the file with this sum, or starts an empty one. */
export async function claimPartial(folder: string, sha256: string): Promise<PartialFile> {
  const caller = callerOf(process.env)
  await makeDownloadFolder(folder)
  const kept = join(folder, `${sha256}.part`)
  const note = join(folder, `${sha256}.json`)
  const path = join(folder, `${sha256}.${process.pid}-${randomBytes(4).toString('hex')}.part`)
  const taken = (await moved(kept, path)) || (await takeFromTheDead(folder, sha256, path))
  const found = taken && (await isPlain(path))
  if (taken && !found) await rm(path)
  if (!found) await writeFile(path, '', { flag: 'wx' })
  if (caller) await settle(path, 0o644, caller)
  const partial: PartialFile = {
    path,
    origin: found ? await readOrigin(note) : undefined,
    async release() {
      const { size } = await stat(path)
      if (size === 0) return partial.discard()
      if (partial.origin) {
        await replaceWithBytes(note, Buffer.from(JSON.stringify(partial.origin)), { mode: 0o644, caller })
      }
      await rename(path, kept)
    },
    async discard() {
      await Promise.all([rm(path, { force: true }), rm(note, { force: true })])
    },
  }
  return partial
}

/** A process that was killed had no time to give its file its own name back. */
async function takeFromTheDead(folder: string, sha256: string, path: string): Promise<boolean> {
  for (const name of await readdir(folder)) {
    const [, sum, pid] = claimedPattern.exec(name) ?? []
    if (sum === sha256 && !isAlive(Number(pid)) && (await moved(join(folder, name), path))) return true
  }
  return false
}

/** Written to by root, a link would lead to a file that is not in this folder. */
async function isPlain(path: string): Promise<boolean> {
  const stats = await lstat(path)
  return stats.isFile() && stats.nlink === 1
}

/** Of two processes that rename one file, one finds it gone. */
async function moved(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}

async function readOrigin(note: string): Promise<Origin | undefined> {
  try {
    const { url, validator } = JSON.parse(await readFile(note, 'utf8')) as Origin
    return { url: String(url), validator: validator === undefined ? undefined : String(validator) }
  } catch {
    // Without it the sum at the end still tells.
    return undefined
  }
}
