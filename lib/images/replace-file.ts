/** Files outside the store: written under another name, synced, then renamed, so that nobody sees half of one. */
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { copyFile, lstat, mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { FleetsieError } from '../errors.ts'
import { type Caller, settle } from './caller.ts'
import { isAlive } from './is-alive.ts'

interface Placement {
  mode: number
  caller: Caller | undefined
  /** Looks at the finished file before it takes its name; what it throws leaves the old file as it was. */
  check?(path: string): Promise<void>
}

/** Says nothing about the file's own name, which may be as long as a name can be. */
const partPattern = /^\.fleetsie-(\d+)-[0-9a-f]{8}\.part$/

export function partName(): string {
  return `.fleetsie-${process.pid}-${randomBytes(4).toString('hex')}.part`
}

/** Puts `bytes` at `path`. A symbolic link there is replaced, never followed. */
export function replaceWithBytes(path: string, bytes: Buffer, placement: Placement): Promise<void> {
  return replace(path, placement, async (part) => {
    const file = await open(part, 'wx', placement.mode)
    try {
      await file.writeFile(bytes)
    } finally {
      await file.close()
    }
  })
}

/** Puts a copy of `source` at `path`, sharing its blocks where the filesystem can. */
export function replaceWithCopy(path: string, source: string, placement: Placement): Promise<void> {
  return replace(path, placement, (part) =>
    copyFile(source, part, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE),
  )
}

async function replace(
  path: string,
  { mode, caller, check }: Placement,
  write: (part: string) => Promise<void>,
): Promise<void> {
  const present = await lstat(path).catch(() => undefined)
  if (present?.isDirectory()) {
    throw new FleetsieError('E_INPUT', 'a folder is in the way of a file', {
      file: path,
      hint: 'move the folder away, or choose another `out`',
    })
  }
  const part = join(dirname(path), partName())
  try {
    await write(part)
    // Whatever the umask is and the source's mode was.
    await settle(part, mode, caller)
    await check?.(part)
    await sync(part)
    await rename(part, path)
    await sync(dirname(path))
  } catch (error) {
    await rm(part, { force: true })
    throw error
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
    if (pid !== undefined && !isAlive(Number(pid))) await rm(join(folder, name), { force: true })
  }
}
