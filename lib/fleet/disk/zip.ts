/** The tree of a provisioning disk as a zip, to be unpacked onto disks by hand. It holds what a disk holds, keys and all. */
import { readFile } from 'node:fs/promises'
import { buffer } from 'node:stream/consumers'
import { fromBufferPromise } from 'yauzl'
import { ZipFile } from 'yazl'
import { FleetsieError } from '../../errors.ts'
import type { Caller } from '../../images/caller.ts'
import { replaceWithBytes } from '../../images/replace-file.ts'
import { type Change, type DiskPlace, type EntryType, topFolder } from './place.ts'

interface ZippedFile {
  bytes: Buffer
  executable: boolean
}

const maxZip = 1024 * 1024 * 1024
const maxEntries = 10_000
const prefix = `${topFolder}/`

/**
 * A zip at `path`, which may be there already: it is of the same lot then, unless it is to be made `anew`.
 * Fails with E_DAMAGED.
 */
export async function zipPlace(path: string, caller: Caller | undefined, anew = false): Promise<DiskPlace> {
  if (anew) return new ZipPlace(path, caller, new Map())
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  return new ZipPlace(path, caller, bytes ? await unpack(path, bytes) : new Map())
}

async function unpack(path: string, bytes: Buffer): Promise<Map<string, ZippedFile | undefined>> {
  const entries = new Map<string, ZippedFile | undefined>()
  const refuse = (why: string, cause?: unknown): FleetsieError =>
    new FleetsieError('E_DAMAGED', `${path} ${why}`, { hint: 'name another file', cause })
  try {
    const zip = await fromBufferPromise(bytes)
    if (zip.entryCount > maxEntries) throw refuse(`lists ${zip.entryCount} files`)
    let sum = 0
    for await (const entry of zip.eachEntry()) {
      if (!entry.fileName.startsWith(prefix)) throw refuse(`holds ${JSON.stringify(entry.fileName)}`)
      const name = entry.fileName.slice(prefix.length).replace(/\/$/, '')
      if (name === '') continue
      if (entry.fileName.endsWith('/')) {
        entries.set(name, undefined)
        continue
      }
      sum += entry.uncompressedSize
      if (sum > maxZip) throw refuse(`unpacks to more than ${maxZip} bytes`)
      const executable = ((entry.externalFileAttributes >>> 16) & 0o100) !== 0
      entries.set(name, { bytes: await buffer(await zip.openReadStreamPromise(entry)), executable })
    }
  } catch (error) {
    throw error instanceof FleetsieError ? error : refuse('is no zip of a disk', error)
  }
  return entries
}

class ZipPlace implements DiskPlace {
  readonly name: string
  readonly hasPermissions = true
  readonly #caller: Caller | undefined
  /** A folder has no file. */
  readonly #entries: Map<string, ZippedFile | undefined>

  constructor(path: string, caller: Caller | undefined, entries: Map<string, ZippedFile | undefined>) {
    this.name = path
    this.#caller = caller
    this.#entries = entries
  }

  async list(folder: string): Promise<Map<string, EntryType>> {
    const start = folder === '' ? '' : `${folder}/`
    const found = new Map<string, EntryType>()
    for (const [name, file] of this.#entries) {
      if (!name.startsWith(start)) continue
      const [first, ...rest] = name.slice(start.length).split('/')
      found.set(first!, rest.length > 0 || !file ? 'folder' : 'file')
    }
    return found
  }

  async read(name: string, limit: number): Promise<Buffer | undefined> {
    const file = this.#entries.get(name)
    if (file && file.bytes.length > limit) {
      throw new FleetsieError('E_INPUT', `${name} has ${file.bytes.length} bytes; ${limit} is the limit`)
    }
    return file?.bytes
  }

  async free(): Promise<number> {
    return maxZip
  }

  /** All at once: the file is the old zip or the new one. */
  async apply(changes: readonly Change[], signal: AbortSignal): Promise<void> {
    for (const change of changes) this.#change(change)
    signal.throwIfAborted()
    const zip = new ZipFile()
    for (const [name, file] of this.#entries) {
      if (!file) zip.addEmptyDirectory(prefix + name)
      else zip.addBuffer(file.bytes, prefix + name, { mode: file.executable ? 0o100700 : 0o100600 })
    }
    zip.end()
    const bytes = await buffer(zip.outputStream)
    await replaceWithBytes(this.name, bytes, { mode: 0o600, caller: this.#caller })
  }

  #change(change: Change): void {
    const { name } = change
    switch (change.do) {
      case 'folder':
        if (!this.#entries.has(name)) this.#entries.set(name, undefined)
        break
      case 'write':
        this.#entries.set(name, { bytes: change.bytes, executable: change.executable === true })
        break
      case 'remove':
        this.#entries.delete(name)
        break
      case 'rename':
        for (const [is, file] of [...this.#entries]) {
          if (is !== name && !is.startsWith(`${name}/`)) continue
          this.#entries.delete(is)
          this.#entries.set(change.to + is.slice(name.length), file)
        }
    }
  }

  async close(): Promise<void> {}
}

/** All that `from` holds, as changes that make another place the same. */
export async function copyOf(from: DiskPlace, folder = ''): Promise<Change[]> {
  const changes: Change[] = []
  for (const [entry, type] of await from.list(folder)) {
    const name = folder === '' ? entry : `${folder}/${entry}`
    if (type === 'folder') changes.push({ do: 'folder', name }, ...(await copyOf(from, name)))
    const bytes = type === 'file' ? await from.read(name, maxZip) : undefined
    if (bytes)
      changes.push({ do: 'write', name, bytes, executable: /(?:^|\/)(?:setup|cleanup)$|\.sh$/.test(name) })
  }
  return changes
}
