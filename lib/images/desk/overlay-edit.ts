/** Writes into overlays/part_N what the desk has changed there, and into no place that a link leads to. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import {
  chmod,
  lchown,
  lstat,
  mkdir,
  readlink,
  rename,
  rm,
  rmdir,
  symlink,
  unlink,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { settle } from '../caller.ts'
import { partName } from '../replace-file.ts'
import type { Held } from './baseline.ts'
import { below, parentOf } from './nodes.ts'
import type { Replaced } from './replaced.ts'
import type { Desk, TakenIn } from './types.ts'
import type { FileBody } from './wanted.ts'

type Body = NonNullable<Held['body']>
type NewBody = FileBody | { type: 'symlink'; target: string }

/** Inode, time of change, size: of a file in overlays/. */
export async function stampOf(path: string): Promise<string> {
  const { ino, ctimeNs, size } = await lstat(path, { bigint: true })
  return `${ino}:${ctimeNs}:${size}`
}

export async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const piece of createReadStream(path)) hash.update(piece as Buffer)
  return hash.digest('hex')
}

export class OverlayEdit {
  readonly #desk: Desk
  readonly #part: string
  readonly #replaced: Replaced
  readonly #counts: TakenIn

  constructor(desk: Desk, part: string, replaced: Replaced, counts: TakenIn) {
    this.#desk = desk
    this.#part = part
    this.#replaced = replaced
    this.#counts = counts
  }

  /** Where it is on this machine. */
  #at(path: string): string {
    return join(this.#desk.folder, 'overlays', this.#name(path))
  }

  /** Below overlays/. No slash at its end: with one a link would be followed. */
  #name(path: string): string {
    return path === '' ? this.#part : below(this.#part, path)
  }

  /** Takes away what the baseline had, and the folders that are empty then. */
  async remove(path: string, was: Body): Promise<void> {
    const at = this.#at(path)
    if (!(await this.#isReached(path))) return
    const now = await lstat(at).catch(absent)
    if (!now) return
    if (was.type === 'directory') {
      if (now.isDirectory()) await rmdir(at).catch(notEmpty)
      return
    }
    // A folder in its place is somebody's, and holds what the baseline does not know.
    if (now.isDirectory()) return
    if (!(await this.#holds(path, was))) await this.#replaced.keep(this.#name(path))
    await unlink(at)
    this.#counts.removed++
    await this.#dropEmpty(parentOf(path))
  }

  /** Answers what the baseline has to say about it. `was`: what the baseline has said. */
  async write(path: string, body: NewBody, was: Body | undefined): Promise<Body> {
    const at = this.#at(path)
    await this.#makeParents(path)
    const now = await lstat(at).catch(absent)
    const isThere = now !== undefined && (await this.#holds(path, body))
    if (now && !isThere) {
      const isOurs = was !== undefined && (await this.#holds(path, was))
      const empty = now.isDirectory() && (await rmdir(at).then(() => true, notEmpty))
      if (!isOurs && !empty) await this.#replaced.keep(this.#name(path))
      if (now.isDirectory()) await rm(at, { recursive: true, force: true })
    }
    if (body.type === 'symlink') {
      if (!isThere) {
        await rm(at, { force: true })
        await symlink(body.target, at)
        await this.#own(at)
        this.#counts.written++
      }
      return { type: 'symlink', target: body.target }
    }
    const { sha256, program, temp, mode, size } = body
    if (!isThere) {
      await rename(temp, at)
      this.#counts.written++
      this.#counts.bytes += size
    } else {
      await unlink(temp)
      // What became secret in the image is no longer for everybody here.
      if ((now.mode & ~mode & 0o044) !== 0) await chmod(at, mode)
    }
    return { type: 'file', sha256, program, stamp: await stampOf(at) }
  }

  /** An empty file that is a mark. */
  async mark(path: string, present: boolean): Promise<void> {
    const at = this.#at(path)
    if (!present) {
      if (!(await this.#isReached(path))) return
      if (!(await lstat(at).catch(absent))) return
      await unlink(at)
      this.#counts.removed++
      await this.#dropEmpty(parentOf(path))
      return
    }
    await this.#makeParents(path)
    const now = await lstat(at).catch(absent)
    if (now?.isFile() && now.size === 0) return
    if (now) {
      await this.#replaced.keep(this.#name(path))
      await rm(at, { recursive: true, force: true })
    }
    // Not beside `at`, where nobody would look for what an end in between leaves.
    const temp = join(this.#desk.folder, 'overlays', partName())
    await writeFile(temp, '', { flag: 'wx' })
    await settle(temp, 0o644, this.#desk.caller)
    await rename(temp, at)
    this.#counts.written++
  }

  /** Whether overlays/ has just this now. */
  async #holds(path: string, body: Body | FileBody): Promise<boolean> {
    const at = this.#at(path)
    const now = await lstat(at).catch(absent)
    if (!now) return false
    switch (body.type) {
      case 'directory':
        return now.isDirectory()
      case 'symlink':
        return now.isSymbolicLink() && (await readlink(at)) === body.target
      case 'file': {
        if (!now.isFile()) return false
        const sameProgram = ((now.mode & 0o100) !== 0) === body.program
        if ('stamp' in body && (await stampOf(at)) === body.stamp) return true
        return sameProgram && (await sha256Of(at)) === body.sha256
      }
    }
  }

  /** Whether real folders lead there: a link among them would lead out of overlays/. */
  async #isReached(path: string): Promise<boolean> {
    for (const folder of foldersOf(path)) {
      const now = await lstat(this.#at(folder)).catch(absent)
      if (!now?.isDirectory()) return false
    }
    return true
  }

  async #makeParents(path: string): Promise<void> {
    for (const folder of foldersOf(path)) {
      const at = this.#at(folder)
      const now = await lstat(at).catch(absent)
      if (now?.isDirectory()) continue
      if (now) {
        await this.#replaced.keep(this.#name(folder))
        await unlink(at)
      }
      await mkdir(at)
      await this.#own(at)
    }
  }

  async #dropEmpty(folder: string): Promise<void> {
    for (let at = folder; at !== ''; at = parentOf(at)) {
      const gone = await rmdir(this.#at(at)).then(() => true, notEmpty)
      if (!gone) return
    }
  }

  async #own(path: string): Promise<void> {
    const { caller } = this.#desk
    if (caller) await lchown(path, caller.uid, caller.gid)
  }
}

/** '' and every folder on the way to `path`, outermost first. */
function foldersOf(path: string): string[] {
  const folders: string[] = []
  for (let at = path; at !== ''; ) {
    at = parentOf(at)
    folders.unshift(at)
  }
  return folders
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error
}

function notEmpty(error: NodeJS.ErrnoException): false {
  if (!['ENOTEMPTY', 'EEXIST', 'ENOENT', 'ENOTDIR'].includes(error.code ?? '')) throw error
  return false
}
