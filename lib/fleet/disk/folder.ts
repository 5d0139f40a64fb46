/** A provisioning disk that is a folder of this machine: one named on the command line, or where a partition is mounted. */
import { constants } from 'node:fs'
import { access, lstat, open, readdir, rename, rm, stat, statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import type { Caller } from '../../images/caller.ts'
import { makeFolder, Replacements, sweepParts, sync } from '../../images/replace-file.ts'
import { type Change, type DiskPlace, type EntryType, topFolder } from './place.ts'

interface FolderOptions {
  name: string
  /** Who owns what is made. */
  caller: Caller | undefined
  hasPermissions: boolean
  /** What lets go of the medium. */
  release?: () => Promise<void>
}

/**
 * `parent` holds the folder `fleetsie`, or will. Fails with E_INPUT where it is no folder that can be written. Nothing is
 * changed.
 */
export async function folderPlace(parent: string, options: FolderOptions): Promise<DiskPlace> {
  const there = await stat(parent).catch(() => undefined)
  if (!there?.isDirectory()) {
    throw new FleetsieError('E_INPUT', `${parent} is no folder`, {
      hint: 'a name that begins with / is a folder that has to be there; a partition has no /: sda1',
    })
  }
  const top = join(parent, topFolder)
  const found = await lstat(top).catch(() => undefined)
  // A link could lead anywhere, and what is written is secret.
  if (found && !found.isDirectory()) {
    throw new FleetsieError('E_INPUT', `${top} is there, and is no folder`, { hint: 'move it away' })
  }
  await access(found ? top : parent, constants.W_OK | constants.X_OK).catch((cause: Error) => {
    throw new FleetsieError('E_INPUT', `${found ? top : parent} cannot be written`, {
      hint: 'mount it writable, or run this as the user who may write there',
      cause,
    })
  })
  return new FolderPlace(top, options)
}

class FolderPlace implements DiskPlace {
  readonly name: string
  readonly hasPermissions: boolean
  readonly #top: string
  readonly #caller: Caller | undefined
  #release: (() => Promise<void>) | undefined

  constructor(top: string, options: FolderOptions) {
    this.#top = top
    this.name = options.name
    this.#caller = options.caller
    this.hasPermissions = options.hasPermissions
    this.#release = options.release
  }

  async list(folder: string): Promise<Map<string, EntryType>> {
    const entries = await readdir(join(this.#top, folder), { withFileTypes: true }).catch(ifAbsent([]))
    return new Map(
      entries.map((entry) => [
        entry.name,
        entry.isFile() ? 'file' : entry.isDirectory() ? 'folder' : ('other' as const),
      ]),
    )
  }

  async read(name: string, limit: number): Promise<Buffer | undefined> {
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
    const file = await open(join(this.#top, name), flags).catch(ifAbsent(undefined))
    if (!file) return undefined
    try {
      const stats = await file.stat()
      if (!stats.isFile()) return undefined
      if (stats.size > limit) {
        throw new FleetsieError('E_INPUT', `${join(this.#top, name)} has ${stats.size} bytes, not ${limit}`)
      }
      return await file.readFile()
    } finally {
      await file.close()
    }
  }

  async free(): Promise<number> {
    const { bavail, bsize } = await statfs(dirname(this.#top))
    return bavail * bsize
  }

  async apply(changes: readonly Change[], signal: AbortSignal): Promise<void> {
    await makeFolder(this.#top, 0o700, this.#caller)
    await sync(dirname(this.#top))
    // Also where nothing is left to write: what was left may be the OTPs.
    await sweepParts(this.#top)
    for (const change of changes) {
      signal.throwIfAborted()
      await this.#expectFolders(change.name)
      await this.#change(change)
    }
  }

  /** A link on the way could lead anywhere on this machine, and whoever made the disk may have put one there. */
  async #expectFolders(name: string): Promise<void> {
    const parts = name.split('/')
    for (let count = 1; count < parts.length; count++) {
      const path = join(this.#top, ...parts.slice(0, count))
      if ((await lstat(path)).isDirectory()) continue
      throw new FleetsieError('E_UNSAFE', `${path} is no folder`, { hint: 'move it away' })
    }
  }

  async #change(change: Change): Promise<void> {
    const path = join(this.#top, change.name)
    switch (change.do) {
      case 'folder':
        await makeFolder(path, 0o700, this.#caller)
        await this.#expectFolders(`${change.name}/`)
        break
      case 'write': {
        // FAT has no modes; elsewhere nobody but the owner and root may read the OTPs and the key.
        const files = new Replacements({ mode: change.executable ? 0o700 : 0o600, caller: this.#caller })
        try {
          await files.addBytes(path, change.bytes)
          await files.commit()
        } finally {
          await files.discard()
        }
        return
      }
      case 'remove':
        await rm(path, { force: true })
        break
      case 'rename':
        await rename(path, join(dirname(path), change.to))
    }
    await sync(dirname(path))
  }

  async close(): Promise<void> {
    const release = this.#release
    this.#release = undefined
    await release?.().catch(() => {})
  }
}

function ifAbsent<T>(instead: T): (error: NodeJS.ErrnoException) => T {
  return (error) => {
    // ELOOP: a link in its place, which is not followed.
    if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(error.code ?? '')) return instead
    throw error
  }
}
