/** Keeps what both the desk and somebody in overlays/ changed: the desk's takes the name, the other one goes aside. */
import { cp, lchown, lstat, mkdir, readdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Caller } from '../caller.ts'
import { makeFolder, sync } from '../replace-file.ts'
import { privateFolder } from './places.ts'
import type { Desk } from './types.ts'

export class Replaced {
  readonly #desk: Desk
  readonly #folder: string
  readonly #kept = new Set<string>()

  constructor(desk: Desk) {
    this.#desk = desk
    const now = new Date().toISOString().replace(/[:.]/g, '-')
    this.#folder = join(privateFolder, 'replaced', now)
  }

  /** `path` is below overlays/. It stays where it is; a second time it is not copied again. */
  async keep(path: string, why = 'was changed both in the desk and by hand'): Promise<void> {
    if (this.#kept.has(path)) return
    this.#kept.add(path)
    const { folder, caller, warn } = this.#desk
    const shown = join('overlays', path)
    const to = join(this.#folder, path)
    await makeOwned(join(folder, dirname(to)), caller)
    await rm(join(folder, to), { recursive: true, force: true })
    await cp(join(folder, shown), join(folder, to), {
      recursive: true,
      verbatimSymlinks: true,
      preserveTimestamps: true,
    })
    if (caller) await giveAway(join(folder, to), caller)
    if ((await lstat(join(folder, to))).isFile()) await sync(join(folder, to))
    warn(`${shown} ${why}: it is now as in the desk, the other one is ${to}`)
  }
}

async function makeOwned(folder: string, caller: Caller | undefined): Promise<void> {
  if (caller) await makeFolder(folder, 0o755, caller)
  else await mkdir(folder, { recursive: true })
}

/** A copy is root's, and its mode may let nobody else read it. */
async function giveAway(path: string, { uid, gid }: Caller): Promise<void> {
  if ((await lstat(path)).isDirectory()) {
    for (const name of await readdir(path)) await giveAway(join(path, name), { uid, gid })
  }
  await lchown(path, uid, gid)
}
