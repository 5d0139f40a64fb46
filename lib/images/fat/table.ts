/** The file allocation table: which cluster follows which. */
import { FleetsieError } from '../../errors.ts'
import type { Window } from '../window.ts'
import type { FatGeometry } from './boot-sector.ts'

const pageSize = 3 * 64 * 1024
const maxPages = 64
const stretch = Buffer.alloc(4096)

export class FatTable {
  private readonly window: Window
  private readonly geometry: FatGeometry
  private readonly pages = new Map<number, Buffer>()

  constructor(window: Window, geometry: FatGeometry) {
    this.window = window
    this.geometry = geometry
  }

  /** What the table says of a cluster; 0: free. */
  entry(cluster: number): number {
    const { bits } = this.geometry
    if (bits === 32) return this.word(cluster * 4, 4) & 0x0fffffff
    if (bits === 16) return this.word(cluster * 2, 2)
    const pair = this.word(cluster + (cluster >> 1), 2)
    return cluster & 1 ? pair >> 4 : pair & 0xfff
  }

  private word(at: number, bytes: 2 | 4): number {
    // An entry of 12 bits may lie across two pages.
    if (Math.floor(at / pageSize) !== Math.floor((at + bytes - 1) / pageSize)) {
      return this.byte(at) | (this.byte(at + 1) << 8)
    }
    const page = this.page(at)
    return bytes === 4 ? page.readUInt32LE(at % pageSize) : page.readUInt16LE(at % pageSize)
  }

  private byte(at: number): number {
    return this.page(at)[at % pageSize]!
  }

  private page(at: number): Buffer {
    const number = Math.floor(at / pageSize)
    let page = this.pages.get(number)
    if (page === undefined) {
      const start = number * pageSize
      page = this.window.read(this.geometry.fatAt + start, Math.min(pageSize, this.geometry.fatSize - start))
      if (this.pages.size >= maxPages) this.pages.clear()
      this.pages.set(number, page)
    }
    return page
  }

  /** The clusters of a chain, as runs [first, count]. Errors: E_DAMAGED for a chain that is broken or a circle. */
  *chain(first: number): Generator<[number, number]> {
    const end = this.geometry.bits === 32 ? 0x0ffffff8 : this.geometry.bits === 16 ? 0xfff8 : 0xff8
    let run: [number, number] = [first, 0]
    let cluster = first
    for (let count = 0; ; count++) {
      if (cluster < 2 || cluster >= this.geometry.clusters + 2 || count > this.geometry.clusters) {
        throw new FleetsieError('E_DAMAGED', `the chain from cluster ${first} is broken`, {
          hint: 'check the partition with `fsck.fat -n`',
        })
      }
      if (run[0] + run[1] === cluster) run[1]++
      else {
        yield run
        run = [cluster, 1]
      }
      const next = this.entry(cluster)
      if (next >= end) break
      cluster = next
    }
    yield run
  }

  /** The clusters in use, as runs [first, count]. */
  *used(): Generator<[number, number]> {
    const end = this.geometry.clusters + 2
    let first = -1
    for (let cluster = 2; cluster <= end; ) {
      const free = cluster === end ? 1 : this.freeFrom(cluster)
      if (free === 0) {
        if (first < 0) first = cluster
        cluster++
        continue
      }
      if (first >= 0) yield [first, cluster - first]
      first = -1
      cluster += free
    }
  }

  /** How many clusters from this one on are free: 0 if it is not, and not always all. Most of a table is zeros. */
  private freeFrom(cluster: number): number {
    const { bits, fatSize } = this.geometry
    const at = (cluster * bits) / 8
    if (bits !== 12 && at % stretch.length === 0 && at + stretch.length <= fatSize) {
      const from = at % pageSize
      if (this.page(at).compare(stretch, 0, stretch.length, from, from + stretch.length) === 0)
        return Math.min((stretch.length * 8) / bits, this.geometry.clusters + 2 - cluster)
    }
    return this.entry(cluster) === 0 ? 1 : 0
  }

  freeClusters(): number {
    let free = this.geometry.clusters
    for (const [, count] of this.used()) free -= count
    return free
  }
}
