/**
 * Changes single files of a FAT that is in use as a medium, each so that a cut at any moment leaves the old file or the
 * new one: new content goes to free clusters, then the table has its chain, then one sector of the folder leads to it, then
 * the old chain is freed. What is cut leaves lost clusters at most; the next change finds the table's mark and frees them.
 */
import { FleetsieError } from '../../errors.ts'
import { flush } from '../flush.ts'
import { foldName, shown, toBytes } from '../volume.ts'
import { Window } from '../window.ts'
import { fatAttributes, fatTime } from './entries.ts'
import { FatReader } from './reader.ts'
import { dotEntries, pointTo, slotsFor } from './slots.ts'
import { FatTableEdit } from './table-edit.ts'

const slotBytes = 32
const sector = 512

export class LiveFat {
  readonly #path: string
  readonly #window: Window
  readonly #table: FatTableEdit
  #reader: FatReader
  #marked = false
  /** It was not sound before: the mark stays, for the user's own tools. */
  #unsound = false

  /** `path`: a device or a file that is one filesystem of `size` bytes. Fails with E_DAMAGED, E_UNSUPPORTED. */
  constructor(path: string, size: number, mode: 'r' | 'r+') {
    this.#path = path
    this.#window = new Window(path, { offset: 0, size }, mode)
    this.#reader = new FatReader(this.#window)
    this.#table = new FatTableEdit(this.#window, this.#reader.geometry)
  }

  /** The id of what is at `path`; undefined when it is not there. */
  find(path: string): number | undefined {
    let id = 0
    for (const name of path.split('/').filter((part) => part !== '')) {
      if (this.#reader.node(id).type !== 'directory') return undefined
      const key = foldName(this.#reader, toBytes(name))
      const found = [...this.#reader.list(id)].find(([one]) => foldName(this.#reader, one) === key)
      if (!found) return undefined
      id = found[1]
    }
    return id
  }

  list(path: string): Map<string, 'file' | 'directory'> {
    const id = this.find(path)
    if (id === undefined || this.#reader.node(id).type !== 'directory') return new Map()
    return new Map(
      [...this.#reader.list(id)].map(([name, child]) => {
        return [shown(name), this.#reader.node(child).type === 'directory' ? 'directory' : 'file']
      }),
    )
  }

  /** Bytes of the file at `path`; undefined when there is no such file. */
  size(path: string): number | undefined {
    const id = this.find(path)
    return id === undefined || this.#reader.node(id).type !== 'file' ? undefined : this.#reader.node(id).size
  }

  /** Only of a file that is there. */
  read(path: string): Buffer {
    const id = this.find(path)!
    const whole = Buffer.alloc(this.#reader.node(id).size)
    for (const { at, bytes } of this.#reader.pieces(id)) bytes.copy(whole, at)
    return whole
  }

  free(): number {
    return this.#reader.table.freeClusters() * this.#reader.geometry.clusterSize
  }

  /** Puts in order what a change that was cut has left. */
  async mend(): Promise<void> {
    if (this.#table.isDirty) await this.#change(async () => {})
  }

  async makeFolder(path: string, time: number): Promise<void> {
    const id = this.find(path)
    if (id !== undefined) {
      if (this.#reader.node(id).type === 'directory') return
      throw new FleetsieError('E_INPUT', `${path} on ${this.#path} is a file, and a folder is needed there`)
    }
    await this.#change(async () => {
      const [parent, name] = this.#split(path)
      const [cluster] = this.#table.allocate(1) as [number]
      const at = fatTime(time)
      const bytes = Buffer.alloc(this.#reader.geometry.clusterSize)
      // `..` of a folder in the top folder is 0, whatever cluster that has.
      const above = parent === 0 ? 0 : this.#reader.fatNode(parent).entry.cluster
      dotEntries(cluster, above, at).copy(bytes)
      await this.#store([cluster], bytes)
      await this.#enter(parent, { name, attributes: fatAttributes.folder, cluster, size: 0, time: at })
    })
  }

  async write(path: string, bytes: Buffer, time: number): Promise<void> {
    await this.#change(async () => {
      const id = this.find(path)
      if (id !== undefined && this.#reader.node(id).type !== 'file') {
        throw new FleetsieError('E_INPUT', `${path} on ${this.#path} is a folder, and a file is needed there`)
      }
      const clusters = this.#table.allocate(Math.ceil(bytes.length / this.#reader.geometry.clusterSize))
      await this.#store(clusters, bytes)
      const to = { cluster: clusters[0] ?? 0, size: bytes.length, time: fatTime(time) }
      if (id === undefined) {
        const [parent, name] = this.#split(path)
        return this.#enter(parent, { name, attributes: fatAttributes.archive, ...to })
      }
      const old = this.#chain(this.#reader.fatNode(id).entry.cluster)
      const slot = this.#window.read(id, slotBytes)
      pointTo(slot, to)
      await this.#patch([[id, slot]])
      this.#table.free(old)
    })
  }

  /** A file; nothing where there is none. */
  async remove(path: string): Promise<void> {
    const id = this.find(path)
    if (id === undefined) return
    await this.#change(async () => {
      this.find(path)
      const old = this.#chain(this.#reader.fatNode(id).entry.cluster)
      await this.#forget(id)
      this.#table.free(old)
    })
  }

  /** Within its folder; nothing has the new name. Cut in the middle, it leaves both: `dropTwin` takes one away. */
  async rename(path: string, to: string): Promise<void> {
    const id = this.find(path)
    if (id === undefined) return
    await this.#change(async () => {
      this.find(path)
      const { entry, parent } = this.#reader.fatNode(id)
      const { attributes, cluster, size, mtime } = entry
      await this.#enter(parent, { name: to, attributes, cluster, size, time: mtime.seconds })
      await this.#forget(id)
    })
  }

  /** Removes the name `path` when `twin`, in the same folder, is the same file or folder: a rename was cut there. */
  async dropTwin(path: string, twin: string): Promise<void> {
    const [id, other] = [this.find(path), this.find(twin)]
    if (id === undefined || other === undefined || id === other) return
    const cluster = this.#reader.fatNode(id).entry.cluster
    if (cluster === 0 || cluster !== this.#reader.fatNode(other).entry.cluster) return
    await this.#change(async () => {
      this.find(path)
      await this.#forget(id)
    })
  }

  /** After the last change: the medium is as one that was unmounted. */
  async finish(): Promise<void> {
    if (!this.#marked) return
    if (!this.#unsound) this.#table.markClean()
    await flush(this.#path)
    this.#marked = false
  }

  close(): void {
    this.#window.close()
  }

  #split(path: string): [number, string] {
    const cut = path.lastIndexOf('/')
    const parent = this.find(path.slice(0, Math.max(cut, 0)))
    if (parent === undefined) throw new FleetsieError('E_BUG', `${path} is in no folder`)
    return [parent, path.slice(cut + 1)]
  }

  /** One change, in a medium that is marked as being changed; what an earlier one left behind is freed first. */
  async #change(work: () => Promise<void>): Promise<void> {
    if (!this.#marked) {
      this.#marked = true
      if (this.#table.isDirty) this.#unsound = !this.#freeLost()
      this.#table.markDirty()
      await flush(this.#path)
      this.#reader = new FatReader(this.#window)
    }
    try {
      await work()
    } finally {
      await flush(this.#path)
      this.#reader = new FatReader(this.#window)
    }
  }

  /** Frees clusters that no file or folder leads to, in all tables. False: the tree is not sound, and left as it is. */
  #freeLost(): boolean {
    const used = new Set<number>()
    try {
      const waiting = [0]
      const root = this.#reader.geometry.rootCluster
      if (root !== 0) for (const cluster of this.#chain(root)) used.add(cluster)
      while (waiting.length > 0) {
        for (const child of this.#reader.list(waiting.pop()!).values()) {
          for (const cluster of this.#chain(this.#reader.fatNode(child).entry.cluster)) used.add(cluster)
          if (this.#reader.node(child).type === 'directory') waiting.push(child)
          if (used.size > this.#reader.geometry.clusters) return false
        }
      }
    } catch {
      return false
    }
    const lost: number[] = []
    for (const [first, count] of this.#reader.table.used()) {
      for (let cluster = first; cluster < first + count; cluster++) {
        // Bad ones are nobody's as well, and stay.
        if (!used.has(cluster) && !this.#isBad(cluster)) lost.push(cluster)
      }
    }
    this.#table.free(lost)
    this.#table.mirror()
    return true
  }

  #isBad(cluster: number): boolean {
    const { bits } = this.#reader.geometry
    return this.#reader.table.entry(cluster) === (bits === 32 ? 0x0ffffff7 : bits === 16 ? 0xfff7 : 0xff7)
  }

  async #store(clusters: readonly number[], bytes: Buffer): Promise<void> {
    const { clusterSize } = this.#reader.geometry
    for (const [index, cluster] of clusters.entries()) {
      this.#window.write(
        this.#reader.position(cluster),
        bytes.subarray(index * clusterSize, (index + 1) * clusterSize),
      )
    }
    this.#table.link(clusters)
    await flush(this.#path)
  }

  /** A new name in a folder, which grows by a cluster when it is full. */
  async #enter(parent: number, entry: Parameters<typeof slotsFor>[0]): Promise<void> {
    const names = [...this.#reader.list(parent).values()].map((id) => this.#reader.fatNode(id).entry.short)
    const slots = slotsFor(entry, new Set(names))
    const free = await this.#freeSlots(parent, slots.length)
    await this.#patch(slots.map((slot, index) => [free[index]!, slot]))
  }

  /** Positions of free slots in a row. What lies behind the last one in use is made zeros, as the end of a folder. */
  async #freeSlots(folder: number, count: number): Promise<number[]> {
    let ended = false
    let row: number[] = []
    for (const [position, length] of this.#reader.folderPlaces(folder)) {
      for (let at = position; at < position + length; at += slotBytes) {
        const first = ended ? 0 : this.#window.read(at, 1)[0]!
        if (first === 0) ended = true
        if (row.length === count) {
          if (ended) await this.#patch([[at, Buffer.alloc(slotBytes)]])
          return row
        }
        if (ended || first === 0xe5) row.push(at)
        else row = []
      }
    }
    if (row.length === count) return row
    if (folder === 0 && this.#reader.geometry.bits !== 32) {
      throw new FleetsieError('E_INPUT', `the top folder of ${this.#path} is full`, {
        hint: 'remove a file from it, or make its filesystem anew',
      })
    }
    const { clusterSize, rootCluster } = this.#reader.geometry
    const more = this.#table.allocate(Math.ceil(((count - row.length) * slotBytes) / clusterSize))
    await this.#store(more, Buffer.alloc(more.length * clusterSize))
    const first = folder === 0 ? rootCluster : this.#reader.fatNode(folder).entry.cluster
    this.#table.append(this.#chain(first).at(-1)!, more[0]!)
    await flush(this.#path)
    const added = more.flatMap((cluster) =>
      [...Array(clusterSize / slotBytes).keys()].map(
        (index) => this.#reader.position(cluster) + index * slotBytes,
      ),
    )
    return [...row, ...added].slice(0, count)
  }

  /** The name goes with its 8.3 form; the long name's slots mean nothing without it. */
  async #forget(id: number): Promise<void> {
    const { slots } = this.#reader.fatNode(id)
    await this.#patch([id, ...slots].map((at) => [at, this.#erased(at)] as const))
  }

  #erased(at: number): Buffer {
    const slot = this.#window.read(at, slotBytes)
    slot[0] = 0xe5
    return slot
  }

  /** Writes slots, each sector at once, in the order in which they are named first. */
  async #patch(slots: readonly (readonly [number, Buffer])[]): Promise<void> {
    const sectors = new Map<number, Buffer>()
    for (const [at, slot] of slots) {
      const start = at - (at % sector)
      const bytes = sectors.get(start) ?? this.#window.read(start, sector)
      sectors.set(start, bytes)
      slot.copy(bytes, at % sector)
    }
    for (const [start, bytes] of sectors) {
      this.#window.write(start, bytes)
      await flush(this.#path)
    }
  }

  #chain(first: number): number[] {
    if (first === 0) return []
    return [...this.#reader.table.chain(first)].flatMap(([start, count]) =>
      [...Array(count).keys()].map((index) => start + index),
    )
  }
}
