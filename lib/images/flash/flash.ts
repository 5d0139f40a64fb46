/** Writes an image to cards, several at once from one decode; each has its own pace, and its own end. */
import { toFleetsieError } from '../../errors.ts'
import { chunkSize } from '../image.ts'
import { BufferPool } from './buffers.ts'
import { planCard } from './card-plan.ts'
import { CardWriter, interruption } from './card-writer.ts'
import { overlap } from './cells.ts'
import { areaOf } from './compare-places.ts'
import { Pace } from './pace.ts'
import type { Card, Chunk, DiskImage, FlashPart, FlashProgress, FlashReport, FlashResult } from './types.ts'
import { restoreHeads, unverified, type Verification, verifyCells } from './verify-card.ts'

export interface FlashRequest {
  image: DiskImage
  cards: readonly Card[]
  signal: AbortSignal
  progress(progress: FlashProgress): void
}

/** Chunks between the decoder and the cards: how far one card may be ahead of another. */
const chunksAhead = 64

/**
 * Writes what differs, or all that is mapped, and reads it back. Whatever ends it, the same call goes on where it was.
 * A failure that concerns one card, or all, is in the results, in the order of the cards; it throws nothing.
 */
export async function flash({ image, cards, signal, progress }: FlashRequest): Promise<FlashResult[]> {
  const runs = await Promise.all(cards.map((card) => CardRun.begin(card, image, signal, progress)))
  const writers = runs.flatMap(({ writer }) => writer ?? [])
  let failure: unknown
  try {
    await distribute(image, writers, signal)
  } catch (error) {
    failure = signal.aborted ? interruption() : error
  }
  return Promise.all(runs.map((run) => run.end(failure)))
}

async function distribute(
  image: DiskImage,
  writers: readonly CardWriter[],
  signal: AbortSignal,
): Promise<void> {
  const wanted = [...new Set(writers.flatMap((writer) => writer.wanted()))].sort((a, b) => a - b)
  if (wanted.length === 0) return
  const pool = new BufferPool(Math.min(chunksAhead, wanted.length + 1), chunkSize)
  for await (const chunk of image.readChunks(wanted, pool, signal)) {
    hand(chunk, pool, writers)
    if (writers.every(({ failure }) => failure !== undefined)) return
  }
}

/** The buffer goes back when the last card has done with it. */
function hand(chunk: Chunk, pool: BufferPool, writers: readonly CardWriter[]): void {
  const takers = writers.filter((writer) => writer.wants(chunk.index))
  let users = takers.length
  const release = (): void => {
    users--
    if (users === 0) pool.give(chunk.buffer)
  }
  if (users === 0) pool.give(chunk.buffer)
  for (const writer of takers) writer.offer({ chunk, release })
}

/** One card from its plan to its report. */
class CardRun {
  writer: CardWriter | undefined
  readonly #card: Card
  readonly #image: DiskImage
  readonly #signal: AbortSignal
  readonly #progress: FlashRequest['progress']
  readonly #since = performance.now()
  #pace = new Pace()
  #failure: unknown

  private constructor(card: Card, image: DiskImage, signal: AbortSignal, progress: FlashRequest['progress']) {
    this.#card = card
    this.#image = image
    this.#signal = signal
    this.#progress = progress
  }

  static async begin(
    card: Card,
    image: DiskImage,
    signal: AbortSignal,
    progress: FlashRequest['progress'],
  ): Promise<CardRun> {
    const run = new CardRun(card, image, signal, progress)
    try {
      run.writer = new CardWriter(card, await planCard(card, image), signal, () => run.#tellWriting())
    } catch (error) {
      run.#failure = error
    }
    return run
  }

  /** `failure`: of what all cards are written from. */
  async end(failure: unknown): Promise<FlashResult> {
    const { writer } = this
    const card = this.#card.name
    if (!writer) return { card, error: toFleetsieError(this.#failure) }
    try {
      if (failure !== undefined) writer.fail(failure)
      await writer.drained()
      return { card, report: await this.#finish(writer) }
    } catch (error) {
      return { card, error: this.#signal.aborted ? interruption() : toFleetsieError(error) }
    } finally {
      await writer.plan.journal.close()
    }
  }

  async #finish(writer: CardWriter): Promise<FlashReport> {
    const { plan } = writer
    const written = performance.now()
    const total = unverified(plan).reduce((sum, { length }) => sum + length, 0)
    this.#pace = new Pace()
    let done = 0
    const verification: Verification = {
      card: this.#card,
      plan,
      image: this.#image,
      signal: this.#signal,
      progress: (bytes) => {
        done += bytes
        this.#tell('verifying', done, total, 'verifying')
      },
    }
    const { bytesVerified, bytesWritten } = await verifyCells(verification)
    this.#signal.throwIfAborted()
    const heads = writer.begun ? await restoreHeads(verification) : 0
    await plan.journal.remove()
    const verifying = performance.now() - written
    const writing = written - this.#since - writer.comparing
    const body = writer.bytesWritten + bytesWritten
    return {
      card: this.#card.name,
      how: this.#card.full ? 'full' : (this.#card.held?.how ?? 'compared'),
      resumed: plan.resumed,
      bytesCompared: writer.bytesCompared,
      bytesWritten: body + heads,
      bytesVerified: bytesVerified + heads,
      bytesSaved: Math.max(0, [...plan.cells.values()].reduce((sum, { length }) => sum + length, 0) - body),
      sampled: 0,
      ms: { comparing: writer.comparing, writing, verifying },
      slowest: verifying > writing + writer.comparing ? 'verifying' : this.#slowest(writer),
      chunks: this.#chunks(writer),
      covers: [...this.#covers()],
    }
  }

  /** By chunk of the image, only those that lie wholly in one area. */
  #chunks({ plan }: CardWriter): (string | null | undefined)[] {
    const { size } = this.#image
    return Array.from({ length: Math.ceil(size / chunkSize) }, (_, chunk) => {
      const offset = chunk * chunkSize
      const area = areaOf(this.#card.areas, offset, Math.min(chunkSize, size - offset))
      return area && plan.records.get(chunk)?.digest
    })
  }

  *#covers(): Generator<{ offset: number; length: number }> {
    const areas = this.#card.areas.map(({ image }) => image).sort((a, b) => a.offset - b.offset)
    yield* overlap(this.#image.mapped, areas)
  }

  /** Whose turn it mostly is: the card's, or that of what the card waits for. */
  #slowest(writer: CardWriter): FlashPart {
    if (writer.idle < (performance.now() - this.#since) / 2) return 'writing'
    const { reading, decoding } = this.#image.waited()
    return reading > decoding ? 'reading' : 'decoding'
  }

  #tellWriting(): void {
    const { writer } = this
    if (!writer) return
    const phase = this.#card.full || this.#card.held ? 'writing' : 'comparing'
    this.#tell(phase, writer.done, writer.total, this.#slowest(writer))
  }

  #tell(phase: FlashProgress['phase'], done: number, total: number, slowest: FlashPart): void {
    if (!this.#pace.due(done) && done < total) return
    this.#progress({ card: this.#card.name, phase, done, total, ...this.#pace.of(total), slowest })
  }
}
