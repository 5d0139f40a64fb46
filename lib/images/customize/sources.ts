/** The files of the project that `customize` reads: script, packages, and what it copies into the image. */
import { lstat, open, readlink } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Source, SourceHost } from '../../engine/stage.ts'
import { FleetsieError } from '../../errors.ts'
import { compareText } from '../../formats/layer/order.ts'
import { sourcePrefix } from '../overlay/parts.ts'
import { refusePrivateKey } from '../overlay/private-key-error.ts'
import { privateKeyFinder } from '../overlay/private-keys.ts'
import { typeOf, walk } from '../overlay/walk.ts'

export interface CustomizeFiles {
  script?: string | undefined
  packages?: readonly string[] | undefined
  /** A folder, or paths in the image with a path in the project for each. */
  files?: string | Readonly<Record<string, string>> | undefined
  allowPrivateKeys?: readonly string[] | undefined
}

/** Searched before their hash becomes part of a key; larger ones while they are copied. */
const searchedSize = 64 * 1024

/** Sorted by path. Fails with E_INPUT (missing, no file) or E_UNSAFE (a private key). */
export async function customizeSources(options: CustomizeFiles, host: SourceHost): Promise<Source[]> {
  const sources = new Map<string, Source>()
  const add = (source: Source): void => {
    const known = sources.get(source.path)
    if (known?.type === 'file' && source.type === 'file' && known.sha256 !== source.sha256) {
      throw new FleetsieError('E_INPUT', `two different files would both be called ${source.path}`, {
        file: source.path,
        hint: 'name them relative to the folder of pipeline.ts',
      })
    }
    sources.set(source.path, source)
  }
  for (const path of [...(options.script ? [options.script] : []), ...(options.packages ?? [])]) {
    add(await fileSource(resolve(host.cwd, path), sourcePrefix(path), host))
  }
  for (const { from, path } of await projectFiles(options, host)) {
    const source = await fileOrLink(from, path, host)
    if (source.type === 'file' && !options.allowPrivateKeys?.includes(path)) await search(from, path)
    add(source)
  }
  return [...sources.values()].sort((a, b) => compareText(a.path, b.path))
}

async function projectFiles(
  { files }: CustomizeFiles,
  host: SourceHost,
): Promise<{ from: string; path: string }[]> {
  if (files === undefined) return []
  if (typeof files !== 'string') {
    return Object.values(files).map((file) => ({ from: resolve(host.cwd, file), path: sourcePrefix(file) }))
  }
  const folder = resolve(host.cwd, files)
  const stats = await lstat(folder).catch(missing(files))
  if (!stats.isDirectory()) throw new FleetsieError('E_INPUT', `${files} is no folder`, { file: files })
  const found = await walk(folder, '.')
  return found
    .filter(({ type }) => type !== 'directory')
    .map(({ path }) => path.replace(/^\.\//, ''))
    .map((path) => ({ from: join(folder, path), path: `${sourcePrefix(files)}/${path}` }))
}

/** A link stays a link. */
async function fileOrLink(from: string, path: string, host: SourceHost): Promise<Source> {
  const stats = await lstat(from).catch(missing(path))
  if (stats.isSymbolicLink()) return { path, type: 'symlink', target: await readlink(from) }
  return fileSource(from, path, host)
}

async function fileSource(from: string, path: string, host: SourceHost): Promise<Source> {
  const stats = await lstat(from).catch(missing(path))
  if (!stats.isFile()) {
    throw new FleetsieError('E_INPUT', `${path} has to be a file, but is a ${typeOf(stats)}`, { file: path })
  }
  // umask and the group's bits differ between checkouts.
  const mode = stats.mode & 0o100 ? 0o755 : 0o644
  return { path, type: 'file', mode, sha256: await host.sha256(from), from }
}

function missing(path: string): (cause: NodeJS.ErrnoException) => never {
  return (cause) => {
    if (cause.code !== 'ENOENT' && cause.code !== 'ENOTDIR') throw cause
    throw new FleetsieError('E_INPUT', `${path} does not exist`, {
      file: path,
      hint: 'paths are relative to the folder of pipeline.ts',
      cause,
    })
  }
}

async function search(from: string, path: string): Promise<void> {
  const file = await open(from, 'r')
  try {
    const { size } = await file.stat()
    if (size > searchedSize) return
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size), 0, size, 0)
    if (privateKeyFinder()(buffer.subarray(0, bytesRead))) throw refusePrivateKey(path)
  } finally {
    await file.close()
  }
}

/** Whether something of the image has to be run. */
export function runsPrograms({ script, packages }: CustomizeFiles): boolean {
  return script !== undefined || (packages ?? []).length > 0
}
