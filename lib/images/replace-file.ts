/** Files outside the store: written under another name, synced, then renamed, so that nobody sees half of one. */
import { randomBytes } from 'node:crypto'
import { lstat, mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { FleetsieError } from '../errors.ts'
import { type Caller, callerOf, settle } from './caller.ts'
import { copySynced } from './copy-synced.ts'
import { isAlive } from './is-alive.ts'

interface Placement {
  mode: number
  caller: Caller | undefined
}

/** Says nothing about the file's own name, which may be as long as a name can be. */
const partPattern = /^\.fleetsie-(\d+)-[0-9a-f]{8}\.part$/

export function partName(): string {
  return `.fleetsie-${process.pid}-${randomBytes(4).toString('hex')}.part`
}

/** Puts `bytes` at `path`. A symbolic link there is replaced, never followed. */
export async function replaceWithBytes(path: string, bytes: Buffer, placement: Placement): Promise<void> {
  const files = new Replacements(placement)
  try {
    await files.addBytes(path, bytes)
    await files.commit()
  } finally {
    await files.discard()
  }
}

/**
 * Files of one folder that take their names together, when all of them are on the disk. What processes that are gone left
 * half-written there goes first.
 */
export class Replacements {
  readonly #placement: Placement
  readonly #swept = new Set<string>()
  readonly #parts: { part: string; path: string }[] = []

  constructor(placement: Placement) {
    this.#placement = placement
  }

  /** Gets `bytes` ready for `path`. A symbolic link there will be replaced, never followed. */
  addBytes(path: string, bytes: Buffer): Promise<void> {
    return this.#add(path, async (part) => {
      const file = await open(part, 'wx', this.#placement.mode)
      try {
        await file.writeFile(bytes)
      } finally {
        await file.close()
      }
    })
  }

  /** Gets a copy of `source` ready for `path`. */
  addCopy(path: string, source: string, signal: AbortSignal): Promise<void> {
    return this.#add(path, (part) => copySynced(source, part, signal))
  }

  /** Gives all their names. */
  async commit(): Promise<void> {
    const folders = new Set(this.#parts.map(({ path }) => dirname(path)))
    for (const { part, path } of this.#parts) await rename(part, path)
    this.#parts.length = 0
    for (const folder of folders) await sync(folder)
  }

  /** Removes what got no name. */
  async discard(): Promise<void> {
    for (const { part } of this.#parts) await rm(part, { force: true })
  }

  async #add(path: string, write: (part: string) => Promise<void>): Promise<void> {
    const present = await lstat(path).catch(() => undefined)
    if (present?.isDirectory()) {
      throw new FleetsieError('E_INPUT', 'a folder is in the way of a file', {
        file: path,
        hint: 'move the folder away, or choose another `out`',
      })
    }
    const folder = dirname(path)
    if (!this.#swept.has(folder)) {
      this.#swept.add(folder)
      // What is another user's stays: it is in nobody's way.
      await sweepParts(folder).catch(() => {})
    }
    const part = join(folder, partName())
    this.#parts.push({ part, path })
    try {
      await write(part)
      // Whatever the umask is.
      await settle(part, this.#placement.mode, this.#placement.caller)
      await sync(part)
    } catch (error) {
      // A full disk is told without a name by who writes into an open file.
      const failure = error as NodeJS.ErrnoException
      if (failure.syscall !== undefined && failure.syscall !== 'read') failure.path ??= path
      throw error
    }
  }
}

export async function sync(path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Makes a folder and what leads to it; what is new belongs to the caller. */
export async function makeFolder(path: string, mode: number, caller: Caller | undefined): Promise<void> {
  const first = await mkdir(path, { recursive: true, mode }).catch((cause: NodeJS.ErrnoException) => {
    // A file or a dangling link, at the end or on the way.
    if (!['EEXIST', 'ENOTDIR', 'ENOENT'].includes(cause.code ?? '')) throw cause
    throw new FleetsieError('E_INPUT', 'something that is no folder is in the way of one', {
      file: path,
      cause,
    })
  })
  for (let folder = path; first !== undefined && folder.length >= first.length; folder = dirname(folder)) {
    await settle(folder, mode, caller)
  }
}

/** Removes what processes that are gone left half-written in `folder`. */
export async function sweepParts(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const pid = partPattern.exec(name)?.[1]
    if (pid === undefined || isAlive(Number(pid))) continue
    const path = join(folder, name)
    if (await mayBeOurs(path)) await rm(path, { recursive: true, force: true })
  }
}

/** Others may write here as well, into /tmp for one: what they call so is no tree for root to remove. */
async function mayBeOurs(path: string): Promise<boolean> {
  if (process.geteuid?.() !== 0) return true
  const owner = (await lstat(path).catch(() => undefined))?.uid
  return owner === 0 || owner === callerOf(process.env)?.uid
}
