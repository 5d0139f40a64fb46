/** Which files and folders a process has to look at, so that it learns of every edit that could change a target. */
import { readFileSync, statSync } from 'node:fs'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { visit } from '../graph.ts'
import type { Derivation, Source } from '../stage.ts'

/** Paths are absolute. They may be missing. */
export interface WatchList {
  /** Folders, with everything below them. */
  trees: string[]
  files: string[]
  /** Files that are there while git is at work. */
  locks: string[]
}

interface Watched {
  cwd: string
  derivations: readonly Derivation[]
  /** What the stages said that they read. */
  sources: readonly Source[]
  /** Folders and files to look at in any case. */
  folders: readonly string[]
  files: readonly string[]
}

/** An option this long names no file. */
const longestPath = 1024

/**
 * The files that stages named, those that their options name (they may be missing yet), and what decides which files of
 * a folder git tracks. An option that names a folder counts where that lies in the project or holds something that was read.
 */
export function watchList({ cwd, derivations, sources, folders, files }: Watched): WatchList {
  const read = sources.flatMap((source) => (source.type === 'file' ? [source.from] : []))
  const trees = new Set(folders)
  const single = new Set([...files, ...read])
  for (const path of optionPaths(cwd, derivations)) {
    const stat = statSync(path, { throwIfNoEntry: false })
    if (!stat?.isDirectory()) single.add(path)
    else if (isBelow(cwd, path) || read.some((file) => isBelow(path, file))) trees.add(path)
  }
  const git = [...trees].map(gitFiles)
  return {
    trees: [...trees],
    files: [...single, ...git.flatMap((found) => found.files)],
    locks: [...new Set(git.flatMap((found) => found.locks))],
  }
}

/** Whether `path` lies in `folder`; not the folder itself. */
export function isBelow(folder: string, path: string): boolean {
  return path.startsWith(folder.endsWith('/') ? folder : `${folder}/`)
}

/** A deploy stage writes to what its options name; a URL or a word of another kind names nothing that is ever there. */
function optionPaths(cwd: string, derivations: readonly Derivation[]): Set<string> {
  const paths = new Set<string>()
  for (const { stage, options } of derivations) {
    if (stage.kind !== 'build') continue
    visit(options, '', (_label, value) => {
      if (typeof value !== 'string' || value === '' || value.length > longestPath) return
      if (!/[\0\n]|:\/\//.test(value)) paths.add(resolve(cwd, value))
    })
  }
  return paths
}

/** The index of the repository that a folder lies in, and the files that tell it what to ignore. */
function gitFiles(folder: string): { files: string[]; locks: string[] } {
  const files: string[] = []
  for (let at = dirname(folder); ; at = dirname(at)) {
    files.push(join(at, '.gitignore'))
    const repository = repositoryAt(at)
    if (repository !== undefined) {
      files.push(join(repository, 'index'), join(repository, 'info/exclude'))
      return { files, locks: [join(repository, 'index.lock')] }
    }
    if (dirname(at) === at) return { files: [], locks: [] }
  }
}

/** Where git keeps its index: `.git`, or what that names in a work tree of its own. */
function repositoryAt(folder: string): string | undefined {
  const path = join(folder, '.git')
  try {
    const stat = statSync(path, { throwIfNoEntry: false })
    if (stat === undefined || stat.isDirectory()) return stat && path
    const named = /^gitdir: (.+)$/m.exec(readFileSync(path, 'utf8'))?.[1]
    if (named === undefined) return undefined
    return isAbsolute(named) ? named : join(folder, named)
  } catch {
    return undefined
  }
}
