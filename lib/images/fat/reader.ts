/** Reads FAT12, FAT16 and FAT32 as a tree. */
import { FleetsieError } from '../../errors.ts'
import type { Volume, VolumeNode } from '../volume.ts'
import type { Window } from '../window.ts'
import { type FatGeometry, readBootSector } from './boot-sector.ts'
import { type FatEntry, fatAttributes, parseEntries } from './entries.ts'
import { FatTable } from './table.ts'

export interface FatNode {
  /** Position of the entry in the partition, which serves as the file's number; 0: the top folder. */
  id: number
  parent: number
  entry: FatEntry
  /** Positions in the partition. */
  slots: number[]
}

const pieceBytes = 1024 * 1024
/** 65,536 entries, FAT's limit for a folder. */
const maxFolderBytes = 65536 * 32

export class FatReader implements Volume {
  readonly rootId = 0
  readonly foldsCase = true
  readonly geometry: FatGeometry
  readonly table: FatTable
  private readonly window: Window
  private readonly nodes = new Map<number, FatNode>()
  private readonly lists = new Map<number, Map<string, number>>()

  constructor(window: Window) {
    this.window = window
    this.geometry = readBootSector(window)
    this.table = new FatTable(window, this.geometry)
  }

  /** Only of what was listed before. */
  fatNode(id: number): FatNode {
    const node = this.nodes.get(id)
    if (node === undefined) throw new FleetsieError('E_BUG', `no folder listed the entry at ${id}`)
    return node
  }

  node(id: number): VolumeNode {
    const plain = { mode: 0o755, uid: 0, gid: 0, links: 1 }
    if (id === 0) return { ...plain, id, type: 'directory', size: 0, mtime: { seconds: 0, nanoseconds: 0 } }
    const { attributes, size, mtime } = this.fatNode(id).entry
    const type = attributes & fatAttributes.folder ? 'directory' : 'file'
    return { ...plain, id, type, size: type === 'file' ? size : 0, mtime }
  }

  /** Where a folder's entries are: [position, length]. */
  *folderPlaces(id: number): Generator<[number, number]> {
    const { geometry } = this
    if (id === 0 && geometry.bits !== 32) {
      yield [geometry.rootAt, geometry.rootSize]
      return
    }
    const first = id === 0 ? geometry.rootCluster : this.fatNode(id).entry.cluster
    let sum = 0
    for (const [cluster, count] of this.table.chain(first)) {
      const length = count * geometry.clusterSize
      sum += length
      if (sum > maxFolderBytes + geometry.clusterSize)
        throw damaged(`a folder has more than ${maxFolderBytes} bytes`)
      yield [this.position(cluster), length]
    }
  }

  position(cluster: number): number {
    return this.geometry.dataAt + (cluster - 2) * this.geometry.clusterSize
  }

  list(id: number): Map<string, number> {
    const known = this.lists.get(id)
    if (known) return known
    const places = [...this.folderPlaces(id)]
    const bytes = Buffer.concat(places.map(([position, length]) => this.window.read(position, length)))
    const names = new Map<string, number>()
    for (const entry of parseEntries(bytes)) {
      const number = inPartition(places, entry.at)
      this.nodes.set(number, {
        id: number,
        parent: id,
        entry,
        slots: entry.slots.map((at) => inPartition(places, at)),
      })
      names.set(entry.name, number)
    }
    this.lists.set(id, names)
    return names
  }

  target(): string {
    throw new FleetsieError('E_BUG', 'FAT has no symlinks')
  }

  *pieces(id: number): Generator<{ at: number; bytes: Buffer }> {
    const { size, cluster: first } = this.fatNode(id).entry
    if (size === 0) return
    let at = 0
    for (const [cluster, count] of this.table.chain(first)) {
      const end = Math.min(at + count * this.geometry.clusterSize, size)
      for (let position = this.position(cluster); at < end; ) {
        const length = Math.min(pieceBytes, end - at)
        yield { at, bytes: this.window.read(position, length) }
        at += length
        position += length
      }
    }
    if (at < size) throw damaged(`the chain from cluster ${first} is shorter than its file`)
  }
}

function inPartition(places: readonly [number, number][], at: number): number {
  let rest = at
  for (const [position, length] of places) {
    if (rest < length) return position + rest
    rest -= length
  }
  throw new FleetsieError('E_BUG', `a folder has no byte ${at}`)
}

function damaged(what: string): FleetsieError {
  return new FleetsieError('E_DAMAGED', `the filesystem is damaged: ${what}`, {
    hint: 'check the partition with `fsck.fat -n`',
  })
}
