/** `watch --sync`: brings what layers change to a running device, over ssh, each time only what differs. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import { diskName } from '../image.ts'
import { readTable } from '../partitions.ts'
import { layersByPartition } from '../save/layer-sets.ts'
import { Connection } from './connection.ts'
import { checkDestination } from './destination.ts'
import { type IndexedEntry, indexLayer } from './index-layers.ts'
import { imagePlaces, mountOf } from './places.ts'
import { type Pushed, pushPartition } from './push-partition.ts'
import type { WantedTree } from './wanted.ts'

/** An object of the store. */
interface StoreObject {
  path: string
  digest: string
}

export interface SyncRequest {
  /** What `decompress` made: the stock image. */
  image: StoreObject
  /** What `mount` made of it. */
  table: StoreObject
  /** Layer sets, in the order in which they apply. */
  layers: readonly StoreObject[]
}

export interface Sync {
  /**
   * Makes the device hold what the layers say. The first time, and after a failure or a new connection, everything goes;
   * else what differs from the last push. A push that `signal` ends has changed nothing, or is done. One at a time: the next waits.
   * Fails with E_VERIFY, E_RIGHTS, E_STAGE, E_INTERRUPTED and what reading layers fails with.
   */
  push(request: SyncRequest, signal: AbortSignal): Promise<Pushed>
  /** Ends the connection. */
  close(): Promise<void>
}

export interface SyncOptions {
  /** USER@HOST, HOST or ssh://USER@HOST:PORT; E_USAGE for anything else. */
  destination: string
  warn(line: string): void
}

export function createSync(options: SyncOptions): Sync {
  const session = new SyncSession({ ...options, destination: checkDestination(options.destination) })
  let last: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const mine = last.then(work)
    last = mine.catch(() => {})
    return mine
  }
  return {
    push: (request, signal) => inTurn(() => session.push(request, signal)),
    close: () => inTurn(() => session.close()),
  }
}

class SyncSession {
  private readonly options: SyncOptions
  private connection: Connection | undefined
  private imageDigest = ''
  /** What each partition of the device has from us. */
  private readonly pushed = new Map<number, WantedTree>()
  /** By digest of the layer set and name of the layer. */
  private index = new Map<string, IndexedEntry[]>()
  private readonly warned = new Set<string>()

  constructor(options: SyncOptions) {
    this.options = options
  }

  async push({ image, table, layers }: SyncRequest, signal: AbortSignal): Promise<Pushed> {
    const started = performance.now()
    if (signal.aborted) throw new FleetsieError('E_INTERRUPTED', 'the push was interrupted')
    if (image.digest !== this.imageDigest) this.pushed.clear()
    this.imageDigest = image.digest
    const disk = join(image.path, diskName)
    const partitions = await readTable(table.path)
    const [connection, places] = await settled([this.connect(signal), imagePlaces(disk, partitions)])
    const sets = layers.map(({ path }) => path)
    const total: Pushed = { files: 0, bytes: 0, deleted: 0, ms: 0 }
    const index = await this.indexed(layers, signal)
    const changes = await layersByPartition(sets, partitions)
    const numbers = new Set(changes.map(({ partition }) => partition.number))
    // Layers that are gone take their files with them.
    for (const partition of partitions.partitions) {
      if (!numbers.has(partition.number) && this.pushed.has(partition.number))
        changes.push({ partition, layers: [] })
    }
    for (const { partition, layers: paths } of changes) {
      const { number } = partition
      const mount = mountOf(number, connection.probe, places)
      if (mount === undefined) {
        this.warnOnce(`partition ${number} is not mounted on the device: its files are only in the image`)
        continue
      }
      const before = this.pushed.get(number) ?? new Map()
      const result = await pushPartition({
        connection,
        disk,
        partition,
        mount,
        layers: paths.map((path) => ({ path, entries: index.get(path)! })),
        pushed: before,
        signal,
        warn: (line) => this.warnOnce(line),
        // Until the device has said that all is in place, nobody knows what it has.
        sending: () => this.pushed.delete(number),
      })
      this.pushed.set(number, result.wanted)
      total.files += result.files
      total.bytes += result.bytes
      total.deleted += result.deleted
    }
    total.ms = Math.round(performance.now() - started)
    return total
  }

  async close(): Promise<void> {
    await this.connection?.close()
    this.connection = undefined
  }

  private async connect(signal: AbortSignal): Promise<Connection> {
    if (this.connection?.alive) return this.connection
    await this.close()
    // It may have been started again, or be another one.
    this.pushed.clear()
    this.connection = await Connection.open(this.options.destination, signal)
    return this.connection
  }

  private warnOnce(line: string): void {
    if (this.warned.has(line)) return
    this.warned.add(line)
    this.options.warn(`sync ${this.options.destination}: ${line}`)
  }

  /** Entries by the layer's path. What no set holds any more is forgotten. */
  private async indexed(
    layers: readonly StoreObject[],
    signal: AbortSignal,
  ): Promise<Map<string, IndexedEntry[]>> {
    const kept = new Map<string, IndexedEntry[]>()
    const byPath = new Map<string, IndexedEntry[]>()
    for (const { path, digest } of layers) {
      for (const name of await readdir(path)) {
        if (!name.endsWith('.tar')) continue
        const key = `${digest}/${name}`
        const entries = this.index.get(key) ?? (await indexLayer(join(path, name), signal))
        kept.set(key, entries)
        byPath.set(join(path, name), entries)
      }
    }
    this.index = kept
    return byPath
  }
}

/** Like Promise.all, but nothing runs on unseen when one fails. */
async function settled<A, B>(work: [Promise<A>, Promise<B>]): Promise<[A, B]> {
  const [a, b] = await Promise.allSettled(work)
  if (a.status === 'rejected') throw a.reason
  if (b.status === 'rejected') throw b.reason
  return [a.value, b.value]
}
