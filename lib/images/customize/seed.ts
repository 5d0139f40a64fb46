/** What is put into the tree before a script runs: the stage's `files`, and what only the run itself needs. */
import { createReadStream, createWriteStream } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { FleetsieError } from '../../errors.ts'
import { compareEntries, type LayerAttributes, type LayerInput, writeLayer } from '../../formats/layer.ts'
import { ExtReader } from '../ext/reader.ts'
import { foldName, shown, toBytes, type Volume } from '../volume.ts'
import { contentOf } from '../volume-content.ts'
import { parentsOf } from './inside.ts'

export interface SeedFile {
  /** In its partition, without links on the way. */
  path: string
  mode: number
  /** A file of the host, the content itself, or a link. */
  content: { from: string; size: number } | { bytes: Buffer } | { target: string }
}

const unsaid = { uid: 0, gid: 0, mtime: { seconds: 0, nanoseconds: 0 }, xattrs: new Map<string, Buffer>() }

/** Only the files: the layer of a stage that runs nothing. Folders on the way are made when it is applied. */
export function fileEntries(files: readonly SeedFile[]): LayerInput[] {
  return files.map(({ path, mode, content }): LayerInput => {
    if ('target' in content)
      return { entry: { ...unsaid, type: 'symlink', path, mode: 0o777, target: content.target } }
    if ('from' in content) {
      const { from, size } = content
      return { entry: { ...unsaid, type: 'file', path, mode, size }, content: lazily(from) }
    }
    const { bytes } = content
    return {
      entry: { ...unsaid, type: 'file', path, mode, size: bytes.length },
      content: Readable.from([bytes]),
    }
  })
}

/** Opened when it is its turn: there may be thousands. */
async function* lazily(file: string): AsyncGenerator<Buffer> {
  yield* createReadStream(file) as AsyncIterable<Buffer>
}

/**
 * Files with the folders that they are in, as the image has those: unpacked into an overlay's upper folder, they show
 * through as what they are. Fails with E_INPUT where the image has a folder in a file's place.
 */
export function seedEntries(
  volume: Volume,
  files: readonly SeedFile[],
  folders: readonly string[],
): LayerInput[] {
  const entries = new Map<string, LayerInput>()
  const addFolder = (path: string): void => {
    if (!entries.has(path))
      entries.set(path, { entry: { ...folderAttributes(volume, path), type: 'directory' } })
  }
  for (const path of [...files.map((file) => file.path), ...folders]) parentsOf(path).forEach(addFolder)
  folders.forEach(addFolder)
  for (const input of fileEntries(files)) {
    const id = find(volume, input.entry.path)
    if (id !== undefined && volume.node(id).type === 'directory') {
      throw new FleetsieError('E_INPUT', `/${input.entry.path} is a folder in the image, here it is a file`)
    }
    entries.set(input.entry.path, input)
  }
  return [...entries.values()].sort((a, b) => compareEntries(a.entry, b.entry))
}

/** Everything that a volume holds, with `files` in place of what it has there. For FAT: folders and files only. */
export function wholeTree(volume: Volume, files: readonly SeedFile[]): LayerInput[] {
  const keyOf = (path: string): string => foldName(volume, toBytes(path))
  const entries = new Map(seedEntries(volume, files, []).map((input) => [keyOf(input.entry.path), input]))
  const visit = (folder: number, prefix: string): void => {
    for (const [name, id] of volume.list(folder)) {
      const path = `${prefix}${shown(name)}`
      const { type, size } = volume.node(id)
      if (type === 'directory') {
        entries.set(keyOf(path), { entry: { ...unsaid, type, path, mode: 0o755 } })
        visit(id, `${path}/`)
      } else if (type === 'file' && !entries.has(keyOf(path))) {
        const content = Readable.from(contentOf(volume, id), { objectMode: true })
        entries.set(keyOf(path), { entry: { ...unsaid, type, path, mode: 0o755, size }, content })
      }
    }
  }
  visit(volume.rootId, '')
  return [...entries.values()].sort((a, b) => compareEntries(a.entry, b.entry))
}

export async function writeTar(file: string, entries: readonly LayerInput[]): Promise<void> {
  await pipeline(writeLayer(entries), createWriteStream(file))
}

/** Walks names as they are; `path` holds no links. */
export function find(volume: Volume, path: string): number | undefined {
  let id = volume.rootId
  for (const name of path === '' ? [] : path.split('/')) {
    if (volume.node(id).type !== 'directory') return undefined
    const next = volume.list(id).get(toBytes(name))
    if (next === undefined) return undefined
    id = next
  }
  return id
}

/** A folder's own attributes, or those of a new one. */
function folderAttributes(volume: Volume, path: string): LayerAttributes {
  const id = find(volume, path)
  if (id === undefined) return { ...unsaid, path, mode: 0o755 }
  const { mode, uid, gid, mtime } = volume.node(id)
  const xattrs = volume instanceof ExtReader ? volume.xattrs(volume.inode(id)) : new Map<string, Buffer>()
  return { path, mode, uid, gid, mtime, xattrs }
}
