/**
 * Half downloaded files, kept across failures in one folder of the user: SHA256.part, and SHA256.json beside it with
 * where it came from. Whoever downloads renames the file to a name with its process id, so that two never write one.
 */
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'

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

/** `$XDG_CACHE_HOME/fleetsie-downloads`, below ~/.cache when that is not set. */
export function downloadFolder(): string {
  const cache = process.env['XDG_CACHE_HOME']
  return join(cache?.startsWith('/') ? cache : join(homedir(), '.cache'), 'fleetsie-downloads')
}

/** Takes what an earlier attempt left of the file with this sum, or starts an empty one. */
export async function claimPartial(folder: string, sha256: string): Promise<PartialFile> {
  await mkdir(folder, { recursive: true })
  const kept = join(folder, `${sha256}.part`)
  const note = join(folder, `${sha256}.json`)
  const path = join(folder, `${sha256}.${process.pid}-${randomBytes(4).toString('hex')}.part`)
  const found = (await moved(kept, path)) || (await takeFromTheDead(folder, sha256, path))
  if (!found) await writeFile(path, '', { flag: 'wx' })
  const partial: PartialFile = {
    path,
    origin: found ? await readOrigin(note) : undefined,
    async release() {
      const { size } = await stat(path)
      if (size === 0) return partial.discard()
      if (partial.origin) await writeFile(note, JSON.stringify(partial.origin))
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

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // EPERM: it lives, and belongs to someone else.
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
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
