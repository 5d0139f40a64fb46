/** Finds what an overlay consists of: by git's list inside a work tree, else everything there. */
import { constants, type Stats } from 'node:fs'
import { lstat, open, readlink, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { runner } from '../../engine/process.ts'
import type { Source, SourceHost } from '../../engine/stage.ts'
import { FleetsieError } from '../../errors.ts'
import { compareText } from '../../formats/layer/order.ts'
import { utf8 } from '../../formats/tar/text.ts'
import { type GitList, ignoredByGit, keepsFileModes, listByGit, nested } from './git-list.ts'
import { findParts, sourcePrefix } from './parts.ts'
import { refusePrivateKey } from './private-key-error.ts'
import { privateKeyFinder } from './private-keys.ts'
import { type Found, typeOf, walk } from './walk.ts'

export interface OverlayOptions {
  from: string
  partition?: number | undefined
  allowPrivateKeys?: readonly string[] | undefined
}

/** Which files may hold a private key is asked by name: a desk takes them all. */
type Sought = Omit<OverlayOptions, 'allowPrivateKeys'> & {
  allowPrivateKeys?: { includes(path: string): boolean } | undefined
}

/**
 * Files up to this size are searched for private keys before their hash becomes part of a key; the larger ones
 * while they are copied.
 */
const searchedSize = 64 * 1024
const namesInNote = 5

/** Sorted by path. Fails with E_INPUT or E_UNSAFE for what no overlay may hold. */
export async function overlaySources(options: Sought, host: SourceHost): Promise<Source[]> {
  const folder = resolve(host.cwd, options.from)
  const prefix = sourcePrefix(options.from)
  const parts = await findParts(folder, prefix, options.partition)
  const found = (await Promise.all(parts.map((name) => walk(folder, name)))).flat()
  const chosen = await choose(folder, parts, found, host)
  const sources: Source[] = []
  for (const { path, program } of chosen.sort((a, b) => compareText(a.path, b.path))) {
    const source = await toSource(folder, prefix, path, program, options, host)
    if (source) sources.push(source)
  }
  return sources
}

interface Chosen {
  path: string
  /** Whether a file that git tracks is a program, given its exec bit in the folder. */
  program?(inFolder: boolean): Promise<boolean>
}

async function choose(folder: string, parts: string[], found: Found[], host: SourceHost): Promise<Chosen[]> {
  const run = runner({ home: folder })
  const list = await listByGit(run, folder, parts).catch((error) => withoutGit(error, folder))
  const special = found.filter(({ type }) => !['file', 'symlink', 'directory'].includes(type))
  // git does not list these at all; they would be missing without a word.
  const ignored = list
    ? await ignoredByGit(
        run,
        folder,
        special.map(({ path }) => path),
      )
    : new Set()
  for (const { path, type } of special) if (!ignored.has(path)) throw specialFile(path, type)

  if (list === undefined) {
    for (const { path } of found)
      if (path.endsWith('/.git')) throw nested(dirname(path), 'a git repository of its own')
    return found.filter(({ path, type, empty }) => type !== 'directory' || (empty && path.includes('/')))
  }
  const there = new Set(found.filter(({ type }) => type !== 'directory').map(({ path }) => path))
  noteUntracked(list, there, host)
  // What git tracks may be deleted in the folder, or lie behind what is now a link.
  const paths = [...list.tracked, ...list.untracked].filter((path) => there.has(path))
  if (paths.length === 0 && there.size > 0)
    host.note('git ignores everything in the overlay: nothing of it is used')
  let keepsModes: Promise<boolean> | undefined
  return paths.map((path) => {
    if (!list.tracked.has(path)) return { path }
    const listed = list.programs.has(path)
    const program = async (inFolder: boolean): Promise<boolean> => {
      // Seldom: asking takes another process.
      if (listed === inFolder) return listed
      keepsModes ??= keepsFileModes(run, folder)
      return (await keepsModes) ? inFolder : listed
    }
    return { path, program }
  })
}

/** Without git, a folder that it does not manage can be used all the same. */
async function withoutGit(error: unknown, folder: string): Promise<undefined> {
  if (!(error instanceof FleetsieError) || error.code !== 'E_TOOL') throw error
  for (let at = folder; ; at = dirname(at)) {
    if (await stat(join(at, '.git')).catch(() => undefined)) throw error
    if (at === dirname(at)) return undefined
  }
}

function noteUntracked(list: GitList, there: Set<string>, host: SourceHost): void {
  const paths = [...list.untracked].filter((path) => there.has(path)).sort(compareText)
  if (paths.length === 0) return
  const named = paths
    .slice(0, namesInNote)
    .map((path) => JSON.stringify(path))
    .join(', ')
  const rest = paths.length > namesInNote ? ` and ${paths.length - namesInNote} more` : ''
  const files = paths.length === 1 ? '1 file is' : `${paths.length} files are`
  host.note(`${files} used but not tracked by git yet: ${named}${rest}`)
}

function specialFile(path: string, type: string): FleetsieError {
  const line = {
    fifo: 'type=fifo mode=0644',
    'character device': 'type=char mode=0600 device=native,MAJOR,MINOR',
    'block device': 'type=block mode=0600 device=native,MAJOR,MINOR',
  }[type]
  const [part, ...rest] = path.split('/')
  return new FleetsieError('E_INPUT', `${JSON.stringify(path)} is a ${type}, which git cannot hold`, {
    file: path,
    hint: line
      ? `remove it and put \`./${rest.join('/')} ${line}\` into ${part}.mtree`
      : 'remove it: the program that listens on it makes it',
  })
}

async function toSource(
  folder: string,
  prefix: string,
  name: string,
  program: Chosen['program'],
  options: Sought,
  host: SourceHost,
): Promise<Source | undefined> {
  const from = join(folder, name)
  const path = `${prefix}/${name}`
  const stats = await lstat(from).catch(whenGone)
  if (!stats) return undefined
  switch (typeOf(stats)) {
    case 'directory':
      return { path, type: 'directory', mode: 0o755 }
    case 'symlink':
      return { path, type: 'symlink', target: utf8(await readlink(from, 'buffer'), 'the link target', path) }
    case 'file': {
      if (stats.size <= searchedSize && !options.allowPrivateKeys?.includes(path))
        await search(from, path, stats)
      const inFolder = (stats.mode & 0o100) !== 0
      const executable = program ? await program(inFolder) : inFolder
      return { path, type: 'file', mode: executable ? 0o755 : 0o644, sha256: await host.sha256(from), from }
    }
    default:
      throw specialFile(name, typeOf(stats))
  }
}

function whenGone(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error
}

async function search(from: string, path: string, stats: Stats): Promise<void> {
  const file = await open(from, constants.O_RDONLY | constants.O_NOFOLLOW)
  try {
    const piece = Buffer.alloc(stats.size)
    const { bytesRead } = await file.read(piece, 0, piece.length, 0)
    if (privateKeyFinder()(piece.subarray(0, bytesRead))) throw refusePrivateKey(path)
  } finally {
    await file.close()
  }
}
