/** Takes the chunks of an image for one card, at the card's pace: compares, writes what differs, notes it in the journal. */
import { FleetsieError } from '../../errors.ts'
import { chunkSize } from '../image.ts'
import { BufferPool } from './buffers.ts'
import type { CardPlan } from './card-plan.ts'
import { isHeld } from './card-plan.ts'
import { differences, inChunk, readCell, sumOfChunk, type WriteRun, wholeRuns } from './cell-bytes.ts'
import type { Cell } from './cells.ts'
import { maxUnreadable } from './compare.ts'
import { roomFor } from './compare-places.ts'
import type { CellLine, CellState } from './journal.ts'
import type { Card, Chunk } from './types.ts'

/** Chunks that are compared or written at once: while one is under way, the next is handed over. */
const lanes = 2
/** Until what is written is made sure of and noted: what an interruption costs at most. */
const checkpointMs = 2_000
const checkpointBytes = 256 * 1024 * 1024

interface Offered {
  chunk: Chunk
  release(): void
}

export class CardWriter {
  readonly card: Card
  readonly plan: CardPlan
  bytesCompared = 0
  bytesWritten = 0
  /** Milliseconds that reading to compare has taken, and that there was nothing to do. */
  comparing = 0
  idle = 0
  /** Bytes of cells that are dealt with. */
  done = 0
  readonly total: number
  readonly #signal: AbortSignal
  readonly #told: () => void
  readonly #buffers = new BufferPool(lanes, roomFor(chunkSize))
  readonly #queue: Offered[] = []
  #running = 0
  #unreadable = 0
  #idleSince = performance.now()
  #begun: Promise<void> | undefined
  #failure: unknown
  #wakeDrained: () => void = () => {}
  /** Dealt with and not yet in the journal. */
  #fresh: { state: CellState; line: CellLine }[] = []
  #freshBytes = 0
  #lastCheckpoint = performance.now()
  #checkpoint: Promise<void> = Promise.resolve()

  constructor(card: Card, plan: CardPlan, signal: AbortSignal, told: () => void) {
    this.card = card
    this.plan = plan
    this.#signal = signal
    this.#told = told
    this.total = this.wanted().reduce((sum, chunk) => sum + plan.cells.get(chunk)!.length, 0)
    if (plan.resumed) this.#begun = Promise.resolve()
  }

  /** Whether the heads of the card are invalid now. */
  get begun(): boolean {
    return this.#begun !== undefined
  }

  get failure(): unknown {
    return this.#failure
  }

  /** Chunks that nothing is known of, ascending. */
  wanted(): number[] {
    return [...this.plan.cells.keys()].filter((chunk) => !this.plan.records.has(chunk))
  }

  wants(chunk: number): boolean {
    return this.#failure === undefined && this.plan.cells.has(chunk) && !this.plan.records.has(chunk)
  }

  /** Takes a chunk, which `release` gives back. */
  offer(offered: Offered): void {
    this.#queue.push(offered)
    if (this.#idleSince > 0) {
      this.idle += performance.now() - this.#idleSince
      this.#idleSince = 0
    }
    if (this.#running < lanes) void this.#lane()
  }

  /** Returns when nothing is under way any more and all of it is noted. @throws what went wrong */
  async drained(): Promise<void> {
    while (this.#running > 0) {
      await new Promise<void>((resolve) => {
        this.#wakeDrained = resolve
      })
    }
    await this.#makeSure().catch((error: unknown) => this.fail(error))
    if (this.#failure !== undefined) throw this.#failure
  }

  /** Takes nothing any more. */
  fail(error: unknown): void {
    this.#failure ??= error
    for (const { release } of this.#queue.splice(0)) release()
  }

  async #lane(): Promise<void> {
    this.#running++
    try {
      for (let offered = this.#queue.shift(); offered; offered = this.#queue.shift()) {
        try {
          this.#signal.throwIfAborted()
          await this.#take(offered.chunk)
          const { length } = this.plan.cells.get(offered.chunk.index)!
          this.done += length
          this.#told()
        } finally {
          offered.release()
        }
        await this.#makeSureWhenDue()
      }
    } catch (error) {
      this.fail(error)
    } finally {
      this.#running--
      if (this.#running === 0) {
        this.#idleSince = performance.now()
        this.#wakeDrained()
      }
    }
  }

  async #take(chunk: Chunk): Promise<void> {
    const { card, plan } = this
    const cell = plan.cells.get(chunk.index)!
    if (cell.parts.some(({ head }) => head)) plan.heads.learn(chunk.index, chunk.bytes)
    let runs = wholeRuns(cell)
    if (!card.full) {
      const found =
        card.held && isHeld(card.held, cell, chunk.digest)
          ? { runs: [], heads: false }
          : await this.#compare(cell, chunk)
      if (found.runs.length === 0 && !found.heads) {
        this.#note(cell, 'same', chunk.digest)
        return
      }
      runs = found.runs
    }
    await this.#begin()
    for (const run of runs) await this.#write(run, chunk)
    this.#note(cell, 'written', chunk.digest, cell.whole ? undefined : sumOfChunk(cell, chunk.bytes))
  }

  async #compare(cell: Cell, chunk: Chunk): Promise<ReturnType<typeof differences>> {
    const buffer = await this.#buffers.take()
    const since = performance.now()
    try {
      const { parts, read } = await readCell(this.card.areas, cell, buffer)
      this.bytesCompared += read
      return differences(parts, chunk.bytes)
    } catch (error) {
      this.#unreadable++
      // A card often has another place for what is written where it cannot be read.
      if (!(error instanceof FleetsieError) || this.#unreadable > maxUnreadable) throw error
      return { runs: wholeRuns(cell), heads: cell.parts.some(({ head }) => head) }
    } finally {
      this.comparing += (performance.now() - since) / lanes
      this.#buffers.give(buffer)
    }
  }

  async #write(run: WriteRun, chunk: Chunk): Promise<void> {
    const { target, image } = this.card.areas[run.area]!
    await target.write(inChunk(run, chunk.bytes), run.offset - image.offset)
    this.bytesWritten += run.length
    this.#freshBytes += run.length
  }

  /** Before the first write: nothing of the card is valid until it is whole. */
  #begin(): Promise<void> {
    this.#begun ??= (async () => {
      for (const area of this.card.areas.keys()) {
        this.bytesWritten += await this.plan.heads.invalidate(area)
      }
    })()
    return this.#begun
  }

  #note(cell: Cell, state: CellState, digest: string | null, sum?: string): void {
    this.plan.records.set(cell.chunk, { state, digest, ...(sum === undefined ? {} : { sum }) })
    this.#fresh.push({ state, line: sum === undefined ? [cell.chunk, digest] : [cell.chunk, digest, sum] })
  }

  async #makeSureWhenDue(): Promise<void> {
    const due = performance.now() - this.#lastCheckpoint > checkpointMs
    if (due || this.#freshBytes > checkpointBytes) await this.#makeSure()
  }

  /** What was written so far is on the medium, and then in the journal. One at a time; writing goes on beside it. */
  #makeSure(): Promise<void> {
    this.#lastCheckpoint = performance.now()
    this.#freshBytes = 0
    this.#checkpoint = this.#checkpoint.then(async () => {
      const fresh = this.#fresh
      this.#fresh = []
      if (fresh.some(({ state }) => state === 'written')) {
        for (const target of new Set(this.card.areas.map((area) => area.target))) await target.flush()
      }
      for (const state of ['same', 'written'] as const) {
        await this.plan.journal.add(
          state,
          fresh.filter((one) => one.state === state).map(({ line }) => line),
        )
      }
    })
    return this.#checkpoint
  }
}

/** What an abort means to whoever sees it. */
export function interruption(): FleetsieError {
  return new FleetsieError('E_INTERRUPTED', 'writing was interrupted', {
    hint: 'the same command goes on where it stopped',
  })
}
