/** Changes the file allocation table of a filesystem that is in use: in all its copies, sector by sector. */
import { FleetsieError } from '../../errors.ts'
import type { Window } from '../window.ts'
import type { FatGeometry } from './boot-sector.ts'
import { FatTable } from './table.ts'

const sector = 512
const piece = 1024 * 1024
/** Of the boot sector: BPB_ExtFlags and BPB_FSInfo. */
const extFlagsAt = 40
const fsInfoAt = 48
/** Of FSInfo: FSI_Free_Count and FSI_Nxt_Free. */
const freeCountAt = 488
const unknown = 0xffffffff
/** Of the byte that Linux and Windows keep the state in. */
const dirty = 1

export class FatTableEdit {
  readonly #window: Window
  readonly #geometry: FatGeometry

  /** Fails with E_UNSUPPORTED where the copies are not kept alike. */
  constructor(window: Window, geometry: FatGeometry) {
    this.#window = window
    this.#geometry = geometry
    if (geometry.bits === 32 && window.read(extFlagsAt, 2).readUInt16LE() & 0x80) {
      throw new FleetsieError('E_UNSUPPORTED', 'a FAT32 whose tables are not mirrored cannot be written')
    }
  }

  /** Free clusters, the lowest first. Fails with E_IO when there are fewer. */
  allocate(count: number): number[] {
    const found: number[] = []
    let next = 2
    const table = new FatTable(this.#window, this.#geometry)
    for (const [first, used] of [...table.used(), [this.#geometry.clusters + 2, 0] as const]) {
      for (; next < first && found.length < count; next++) found.push(next)
      if (found.length === count) return found
      next = first + used
    }
    throw new FleetsieError('E_IO', 'the disk is full', { hint: 'make room on it' })
  }

  /** Makes a chain of the clusters. */
  link(clusters: readonly number[]): void {
    const { bits } = this.#geometry
    const end = bits === 32 ? 0x0fffffff : bits === 16 ? 0xffff : 0xfff
    this.#set(clusters.map((cluster, index) => [cluster, clusters[index + 1] ?? end]))
  }

  /** The last cluster of a chain goes on with `next`, which is linked already. */
  append(last: number, next: number): void {
    this.#set([[last, next]])
  }

  free(clusters: readonly number[]): void {
    this.#set(clusters.map((cluster) => [cluster, 0]))
  }

  /** Makes the copies of the table equal to the first. */
  mirror(): void {
    const { fatAt, fatSize, fats } = this.#geometry
    for (let at = 0; at < fatSize; at += piece) {
      const bytes = this.#window.read(fatAt + at, Math.min(piece, fatSize - at))
      for (let copy = 1; copy < fats; copy++) {
        const place = fatAt + copy * fatSize + at
        if (!this.#window.read(place, bytes.length).equals(bytes)) this.#window.write(place, bytes)
      }
    }
  }

  /** Whether it was left in the middle of a change, by us or by a system that had it mounted. */
  get isDirty(): boolean {
    return (this.#window.read(this.#stateAt, 1)[0]! & dirty) !== 0
  }

  /** Before the first change. */
  markDirty(): void {
    this.#freeCount(unknown)
    this.#mark((state) => state | dirty)
  }

  /** After the last. */
  markClean(): void {
    this.#freeCount(new FatTable(this.#window, this.#geometry).freeClusters())
    this.#mark((state) => state & ~dirty)
  }

  get #stateAt(): number {
    return this.#geometry.bits === 32 ? 65 : 37
  }

  #mark(change: (state: number) => number): void {
    const boot = this.#window.read(0, sector)
    boot[this.#stateAt] = change(boot[this.#stateAt]!)
    this.#window.write(0, boot)
  }

  #freeCount(count: number): void {
    if (this.#geometry.bits !== 32) return
    const at = this.#window.read(fsInfoAt, 2).readUInt16LE() * sector
    if (at === 0 || at + sector > this.#window.size) return
    const info = this.#window.read(at, sector)
    if (info.readUInt32LE(0) !== 0x41615252 || info.readUInt32LE(484) !== 0x61417272) return
    info.writeUInt32LE(count, freeCountAt)
    this.#window.write(at, info)
  }

  #set(entries: readonly (readonly [number, number])[]): void {
    const { bits, fatAt, fatSize, fats } = this.#geometry
    const sectors = new Map<number, Buffer>()
    const byte = (at: number, change: (old: number) => number): void => {
      const start = at - (at % sector)
      const bytes = sectors.get(start) ?? this.#window.read(fatAt + start, sector)
      sectors.set(start, bytes)
      bytes[at % sector] = change(bytes[at % sector]!)
    }
    for (const [cluster, value] of entries) {
      const at = Math.floor((cluster * bits) / 8)
      if (bits === 12) {
        const odd = cluster & 1
        byte(at, (old) => (odd ? (old & 0x0f) | ((value & 0x0f) << 4) : value & 0xff))
        byte(at + 1, (old) => (odd ? value >> 4 : (old & 0xf0) | (value >> 8)))
      } else {
        for (let i = 0; i < bits / 8; i++) {
          // The four highest bits of FAT32 are no part of an entry.
          const own = bits === 32 && i === 3 ? 0x0f : 0xff
          byte(at + i, (old) => (old & ~own) | ((value >>> (8 * i)) & own))
        }
      }
    }
    for (let copy = 0; copy < fats; copy++) {
      for (const [start, bytes] of sectors) this.#window.write(fatAt + copy * fatSize + start, bytes)
    }
  }
}
