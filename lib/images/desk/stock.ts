/** The stock image's files as a desk compares with them. Paths and names are UTF-8 text. */
import { createHash } from 'node:crypto'
import { deviceOf } from '../ext/inode.ts'
import { ExtReader } from '../ext/reader.ts'
import { openVolume } from '../read-tree.ts'
import { foldName, shown, toBytes, type Volume, type VolumeNode } from '../volume.ts'
import { ContentComparer } from '../volume-content.ts'
import { withWindow } from '../window.ts'
import type { Attributes } from './nodes.ts'
import type { Desk, DeskPart } from './types.ts'

export class Stock {
  readonly volume: Volume
  readonly fat: boolean
  /** Which filesystem it is: a digest of its beginning, with the time of its last change in it. */
  readonly identity: string
  readonly #folders = new Map<number, Map<string, { name: string; id: number }>>()

  constructor(volume: Volume, identity: string) {
    this.volume = volume
    this.identity = identity
    this.fat = volume.foldsCase
  }

  get rootId(): number {
    return this.volume.rootId
  }

  node(id: number): VolumeNode {
    return this.volume.node(id)
  }

  /** What a folder has under a name; on FAT it may be written with other capitals. */
  child(folder: number, name: string): { name: string; id: number } | undefined {
    return this.#names(folder).get(foldName(this.volume, toBytes(name)))
  }

  children(folder: number): Iterable<{ name: string; id: number }> {
    return this.#names(folder).values()
  }

  /** All files, links and devices at or below a path that holds no links. */
  *filesAt(path: string): Generator<string> {
    let id = this.rootId
    for (const name of path.split('/')) {
      const next = this.node(id).type === 'directory' ? this.child(id, name) : undefined
      if (next?.name !== name) return
      id = next.id
    }
    yield* this.#filesIn(path, id)
  }

  *#filesIn(path: string, id: number): Generator<string> {
    if (this.node(id).type !== 'directory') yield path
    else for (const child of this.children(id)) yield* this.#filesIn(`${path}/${child.name}`, child.id)
  }

  #names(folder: number): Map<string, { name: string; id: number }> {
    let names = this.#folders.get(folder)
    if (names === undefined) {
      names = new Map()
      for (const [bytes, id] of this.volume.list(folder)) {
        names.set(foldName(this.volume, bytes), { name: shown(bytes), id })
      }
      this.#folders.set(folder, names)
    }
    return names
  }

  attributes(id: number): Attributes {
    const { mode, uid, gid, type } = this.volume.node(id)
    if (!(this.volume instanceof ExtReader)) {
      return { mode: type === 'directory' ? 0o755 : 0o644, uid: 0, gid: 0, xattrs: new Map() }
    }
    const named = this.volume.xattrs(this.volume.inode(id))
    const xattrs = new Map([...named].map(([name, value]) => [shown(name), value]))
    return { mode: type === 'symlink' ? 0o777 : mode & 0o7777, uid, gid, xattrs }
  }

  target(id: number): string {
    return shown(this.volume.target(id))
  }

  device(id: number): { major: number; minor: number } | undefined {
    return this.volume instanceof ExtReader ? deviceOf(this.volume.inode(id)) : undefined
  }

  /** Takes a file's bytes piece by piece; `same()` at the end says whether the stock's file `id` has just those. */
  comparer(id: number): ContentComparer {
    return new ContentComparer(this.volume, id)
  }
}

/** Opens what the image has in a partition. */
export function withStock<T>(
  { disk }: Pick<Desk, 'disk'>,
  { partition }: DeskPart,
  work: (stock: Stock) => Promise<T>,
): Promise<T> {
  return withWindow(disk, partition, 'r', (window) => {
    const start = window.read(0, 4096)
    const identity = createHash('sha256').update(start).digest('hex').slice(0, 32)
    return work(new Stock(openVolume(window, partition), identity))
  })
}
