/** Where watches have to be set, so that nothing on a watch list changes, comes or goes unseen. */
import { realpathSync, statSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { isBelow, type WatchList } from './watch-list.ts'

/** Nothing that a stage reads lies in these, but thousands of files do. */
const skipped = /(?:^|\/)(?:\.git|node_modules)(?:\/|$)/

export class Arrangement {
  /** Folders that are there, with everything below them. No links. */
  readonly trees: string[] = []
  /** Folders in which some names matter, and those names. No links. */
  readonly names = new Map<string, Set<string>>()
  readonly #without: readonly string[]
  /** Many files lie in few folders. */
  readonly #known = new Map<string, string | undefined>()

  /** Nothing below the folders `without` counts. */
  constructor({ trees, files, locks }: WatchList, without: readonly string[]) {
    this.#without = without.map((folder) => real(folder) ?? folder)
    for (const tree of trees) {
      // Its own name, so that it is seen when it goes, and when it comes back.
      this.#lookFor(tree)
      const folder = real(tree)
      if (folder !== undefined && statSync(folder).isDirectory()) this.trees.push(folder)
    }
    for (const file of [...files, ...locks]) this.#lookFor(file)
  }

  /** Whether an event there means anything. */
  concerns(path: string): boolean {
    return this.names.get(dirname(path))?.has(basename(path)) === true || this.inTree(path)
  }

  inTree(path: string): boolean {
    if (this.#without.some((folder) => path === folder || isBelow(folder, path))) return false
    return this.trees.some(
      (tree) => path === tree || (isBelow(tree, path) && !skipped.test(path.slice(tree.length + 1))),
    )
  }

  /** The folders themselves, which are other ones after they were deleted and made again. */
  get folders(): string[] {
    return [...new Set([...this.names.keys(), ...this.trees])]
  }

  /** Equal for two arrangements that need the same watches. */
  get identity(): string {
    const names = [...this.names].map(([folder, names]) => [folder, ...names])
    return JSON.stringify([this.folders.map((folder) => [folder, identity(folder)]), this.trees, names])
  }

  /** In its folder or, where that is missing, for the first missing folder on the way. */
  #lookFor(path: string): void {
    let folder = dirname(path)
    let name = basename(path)
    while (this.#real(folder) === undefined && folder !== dirname(folder)) {
      name = basename(folder)
      folder = dirname(folder)
    }
    const found = this.#real(folder)!
    const names = this.names.get(found) ?? new Set()
    this.names.set(found, names.add(name))
  }

  #real(folder: string): string | undefined {
    if (!this.#known.has(folder)) this.#known.set(folder, real(folder))
    return this.#known.get(folder)
  }
}

/** Tells a folder from the one that takes its place; undefined for what is no folder. */
export function identity(path: string): string | undefined {
  const stat = statSync(path, { throwIfNoEntry: false })
  return stat?.isDirectory() ? `${stat.dev}:${stat.ino}` : undefined
}

function real(path: string): string | undefined {
  try {
    return realpathSync(path)
  } catch {
    return undefined
  }
}
