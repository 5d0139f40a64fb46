/**
 * Events of a watch list, by chokidar. Events are hints: who hears one looks for himself. chokidar watches folders only
 * here, and its raw events are used: those for files wait, are merged over 50 ms, and take a watch for each file.
 * A folder that was deleted and made again within a moment looks to it like one that never left, while the kernel's
 * watch on it is gone: so all watches are set anew whenever folders came or went.
 */
import { existsSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { type FSWatcher, watch } from 'chokidar'
import { Arrangement, identity } from './arrangement.ts'
import type { WatchList } from './watch-list.ts'

export interface WatcherHost {
  /** Something happened at a path that concerns the list. */
  onHint(path: string): void
  onWarning(message: string): void
  /** Folders in which nothing counts. */
  without: readonly string[]
}

/** Milliseconds between looks where the kernel gives no events. */
const pollMs = 250
/** A burst of so many paths may have overrun the kernel's queue of events (16,384 by default). */
const manyPaths = 1_000
/** The kernel's clock for files is this coarse, in milliseconds. */
const clockMs = 10

export class Watcher {
  readonly #host: WatcherHost
  #list: WatchList = { trees: [], files: [], locks: [] }
  #arrangement: Arrangement
  #armed: { watcher: FSWatcher; identity: string; folders: Map<string, string> } | undefined
  #polling = pollingAsked()

  constructor(host: WatcherHost) {
    this.#host = host
    this.#arrangement = new Arrangement(this.#list, host.without)
  }

  /** Sets watches for a list. What happens after this has returned is heard of. */
  async arm(list: WatchList): Promise<void> {
    this.#list = list
    const wanted = new Arrangement(list, this.#host.without)
    if (wanted.identity !== this.#armed?.identity) await this.#armAnew()
  }

  /** Sets watches anew where these paths, or folders on the list, came or went. What it missed meanwhile is to be looked for. */
  async settle(paths: readonly string[]): Promise<void> {
    const wanted = new Arrangement(this.#list, this.#host.without)
    const moved = (): boolean =>
      paths.some((path) => wanted.inTree(path) && identity(path) !== this.#armed?.folders.get(path))
    if (wanted.identity !== this.#armed?.identity || paths.length > manyPaths || moved()) {
      await this.#armAnew()
    }
  }

  async close(): Promise<void> {
    const armed = this.#armed
    this.#armed = undefined
    await armed?.watcher.close()
  }

  /** chokidar lists a folder before it watches it: what is made in between would be missed. */
  async #armAnew(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const began = Date.now() - clockMs
      await this.close()
      const arrangement = new Arrangement(this.#list, this.#host.without)
      this.#arrangement = arrangement
      const { identity: before } = arrangement
      const watcher = await this.#open(arrangement)
      const folders = new Map<string, string>()
      let edited = new Arrangement(this.#list, this.#host.without).identity !== before
      for (const folder of watchedFolders(watcher, arrangement)) {
        const stat = statSync(folder, { throwIfNoEntry: false })
        edited ||= stat === undefined || (stat.mtimeMs > began && stat.mtimeMs < Date.now() + clockMs)
        if (stat) folders.set(folder, `${stat.dev}:${stat.ino}`)
      }
      this.#armed = { watcher, identity: before, folders }
      // Who goes on making folders sends events as well, so that there is another time for them.
      if (!edited || attempt === 3) return
    }
  }

  async #open(arrangement: Arrangement): Promise<FSWatcher> {
    const usePolling = this.#polling
    const watcher = watch(arrangement.folders, {
      ignoreInitial: true,
      ignorePermissionErrors: true,
      followSymlinks: false,
      atomic: false,
      usePolling,
      interval: pollMs,
      binaryInterval: pollMs,
      ignored: (path, stats) => {
        if (stats && !usePolling && !stats.isDirectory()) return true
        return !arrangement.concerns(path) && !arrangement.names.has(path)
      },
    })
    const ready = new Promise<void>((resolve) => watcher.once('ready', resolve))
    let refused: NodeJS.ErrnoException | undefined
    const failed = new Promise<void>((resolve) => {
      watcher.on('error', (error) => {
        const { code, message } = error as NodeJS.ErrnoException
        if (code !== 'ENOSPC' && code !== 'EMFILE') {
          this.#host.onWarning(`watching: ${message}`)
          return
        }
        refused ??= error as NodeJS.ErrnoException
        resolve()
        if (this.#armed?.watcher === watcher && !this.#polling) {
          this.#poll(refused)
          void this.#armAnew()
        }
      })
    })
    if (usePolling) watcher.on('all', (_event, path) => this.#hear(path))
    else watcher.on('raw', (_event, name, details) => this.#hearRaw(name, details))
    await Promise.race([ready, failed])
    if (refused === undefined || usePolling) return watcher
    await watcher.close()
    this.#poll(refused)
    return this.#open(arrangement)
  }

  #poll({ code }: NodeJS.ErrnoException): void {
    this.#polling = true
    const setting = code === 'ENOSPC' ? 'fs.inotify.max_user_watches' : 'fs.inotify.max_user_instances'
    const of = code === 'ENOSPC' ? 'watches' : 'instances'
    const raised = code === 'ENOSPC' ? 524_288 : 1024
    this.#host.onWarning(
      `the kernel gives no more inotify ${of}, so files are looked at every ${pollMs} ms instead; raise the limit: sudo sysctl ${setting}=${raised}`,
    )
  }

  #hearRaw(name: unknown, details: unknown): void {
    const { watchedPath } = details as { watchedPath: string }
    const path = typeof name === 'string' ? join(watchedPath, name) : watchedPath
    // A folder that goes is called by its own name, as if there were another of that name in it.
    const itself = path === watchedPath || (name === basename(watchedPath) && !existsSync(path))
    if (itself) this.#host.onHint(watchedPath)
    else this.#hear(path)
  }

  #hear(path: string): void {
    if (this.#arrangement.concerns(path)) this.#host.onHint(path)
  }
}

function watchedFolders(watcher: FSWatcher, arrangement: Arrangement): string[] {
  return Object.keys(watcher.getWatched()).filter((folder) => arrangement.inTree(folder))
}

/** chokidar's own variable, for filesystems that give no events: it would also overrule the change to polling. */
function pollingAsked(): boolean {
  const asked = process.env['CHOKIDAR_USEPOLLING']
  delete process.env['CHOKIDAR_USEPOLLING']
  return asked !== undefined && !['', '0', 'false'].includes(asked.toLowerCase())
}
