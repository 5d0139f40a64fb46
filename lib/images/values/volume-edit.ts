/** Collects what is to change in one filesystem, looking at what is there, and makes a layer of it. */
import { createWriteStream } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { FleetsieError } from '../../errors.ts'
import {
  compareEntries,
  type LayerAttributes,
  type LayerEntry,
  type LayerInput,
  writeLayer,
} from '../../formats/layer.ts'
import { ExtReader } from '../ext/reader.ts'
import { isFolder, lookUp } from '../os/volume-file.ts'
import { shown, toBytes, type Volume } from '../volume.ts'

/** Configuration files, not logs. */
const maxText = 4 * 1024 * 1024

export interface Owner {
  uid: number
  gid: number
}

interface Rights extends Partial<Owner> {
  mode: number
}

interface Change {
  entry: LayerEntry
  content?: Buffer
}

/** Paths are relative and `/`-separated; folders on the way may be links, which are followed inside the filesystem. */
export class VolumeEdit {
  readonly volume: Volume
  private readonly changes = new Map<string, Change>()

  constructor(volume: Volume) {
    this.volume = volume
  }

  get isEmpty(): boolean {
    return this.changes.size === 0
  }

  has(path: string): boolean {
    return this.changes.has(path) || lookUp(this.volume, path) !== undefined
  }

  isFolder(path: string): boolean {
    const change = this.changes.get(path)
    return change ? change.entry.type === 'directory' : isFolder(this.volume, path)
  }

  /** The file's bytes as latin1, so that what is no UTF-8 stays; undefined when there is no such file. */
  read(path: string): string | undefined {
    const change = this.changes.get(path)
    if (change) return change.content?.toString('latin1')
    const id = lookUp(this.volume, path)
    if (id === undefined) return undefined
    const { type, size } = this.volume.node(id)
    if (type !== 'file') return undefined
    if (size > maxText) {
      throw new FleetsieError('E_INPUT', `/${path} in the image has ${size} bytes; ${maxText} is the limit`)
    }
    const bytes = Buffer.alloc(size)
    for (const piece of this.volume.pieces(id)) piece.bytes.copy(bytes, piece.at)
    return bytes.toString('latin1')
  }

  /** Names in the folder `path` that the image has. */
  list(path: string): string[] {
    const id = lookUp(this.volume, path)
    if (id === undefined || this.volume.node(id).type !== 'directory') return []
    return [...this.volume.list(id).keys()].map(shown)
  }

  /** `text` is latin1 of the bytes. A file that is there keeps its owner, mode and attributes. */
  rewrite(path: string, text: string, rights: Rights): void {
    const id = lookUp(this.volume, path)
    const there = id !== undefined && this.volume.node(id).type === 'file' ? id : undefined
    const content = Buffer.from(text, 'latin1')
    const entry = { ...this.said(path, rights, there), type: 'file' as const, size: content.length }
    this.changes.set(path, { entry, content })
  }

  /** A file with exactly these rights, whatever is there. */
  write(path: string, content: Buffer, rights: Rights): void {
    const entry = { ...this.said(path, rights, undefined), type: 'file' as const, size: content.length }
    this.changes.set(path, { entry, content })
  }

  /** A symlink, whatever is there. */
  link(path: string, target: string): void {
    this.changes.set(path, {
      entry: { ...this.said(path, { mode: 0o777 }, undefined), type: 'symlink', target },
    })
  }

  /** Makes the folder, and those on the way, where they are missing; what is there stays as it is. */
  folder(path: string, rights: Rights): void {
    if (this.isFolder(path)) return
    const cut = path.lastIndexOf('/')
    if (cut > 0) this.folder(path.slice(0, cut), { mode: 0o755 })
    this.changes.set(path, { entry: { ...this.said(path, rights, undefined), type: 'directory' } })
  }

  /** Writes the layer to the file `to`, which only this user can read. */
  async writeLayer(to: string): Promise<void> {
    const inputs: LayerInput[] = [...this.changes.values()].map(({ entry, content }) => ({
      entry,
      ...(content && { content: Readable.from([content]) }),
    }))
    inputs.sort((a, b) => compareEntries(a.entry, b.entry))
    await pipeline(Readable.from(writeLayer(inputs)), createWriteStream(to, { flags: 'wx', mode: 0o600 }))
  }

  private said(path: string, { mode, uid = 0, gid = 0 }: Rights, like: number | undefined): LayerAttributes {
    const base = { path, mtime: { seconds: 0, nanoseconds: 0 } }
    if (like === undefined) return { ...base, mode, uid, gid, xattrs: new Map() }
    const node = this.volume.node(like)
    return { ...base, mode: node.mode, uid: node.uid, gid: node.gid, xattrs: this.xattrs(like) }
  }

  private xattrs(id: number): Map<string, Buffer> {
    if (!(this.volume instanceof ExtReader)) return new Map()
    const found = this.volume.xattrs(this.volume.inode(id))
    return new Map([...found].map(([name, value]) => [shown(name), value]))
  }
}

/** For texts of our own that go between lines of the image: UTF-8 as latin1. */
export const latin1 = toBytes
