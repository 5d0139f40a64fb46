/** The sums of an image's ranges, computed only where their content is new. */
import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { type BlockRange, bmapBlockSize, type HashedRange } from '../../formats/bmap.ts'
import { touchedGrain } from '../../formats/xz/cut.ts'

const readSize = 1024 * 1024

/** A piece of `touchedGrain` bytes that is not as the image began: its place and its content. */
export interface ChangedPiece {
  index: number
  /** Lower-case hex. */
  sha256: string
}

/** A range's sum, and the digest of the changed pieces in it: empty when there are none. */
export type KeptSum = [first: number, last: number, changed: string, sha256: string]

/** Of images that all begin as one: what a range holds is told by its place and by what was changed there. */
export class RangeSums {
  readonly #known = new Map<string, string>()
  readonly #kept: KeptSum[] = []
  #learning: Promise<unknown> | undefined

  constructor(kept: readonly KeptSum[]) {
    for (const [first, last, changed, sha256] of kept) this.#known.set(`${first} ${last} ${changed}`, sha256)
  }

  /** Begins to hash ranges of the unchanged image, for `of`, which waits for it. */
  learn(image: string, ranges: () => Promise<readonly BlockRange[]>, signal: AbortSignal): void {
    this.#learning = ranges().then((found) => this.#hash(image, found, [], signal))
    // `of` hears of its failure, and may never be asked.
    this.#learning.catch(() => {})
  }

  /** Waits until nothing is read any more. */
  async idle(): Promise<void> {
    await this.#learning?.catch(() => {})
  }

  /** `ranges` and `changed` in ascending order; `changed` are all changed pieces of `image`. */
  async of(
    image: string,
    ranges: readonly BlockRange[],
    changed: readonly ChangedPiece[],
    signal: AbortSignal,
  ): Promise<HashedRange[]> {
    await this.#learning
    const sums = await this.#hash(image, ranges, changed, signal)
    this.#kept.push(...sums)
    return sums.map(([first, last, , sha256]) => ({ first, last, sha256 }))
  }

  /** All that `of` answered, for the next run. */
  get kept(): readonly KeptSum[] {
    return this.#kept
  }

  async #hash(
    image: string,
    ranges: readonly BlockRange[],
    changed: readonly ChangedPiece[],
    signal: AbortSignal,
  ): Promise<KeptSum[]> {
    const sums: KeptSum[] = []
    const buffer = Buffer.allocUnsafeSlow(readSize)
    const file = await open(image, 'r')
    try {
      const inside = changesIn(changed)
      for (const { first, last } of ranges) {
        const changes = inside(first * bmapBlockSize, (last + 1) * bmapBlockSize)
        const key = `${first} ${last} ${changes}`
        const sha256 = this.#known.get(key) ?? (await sumOf(file, { first, last }, buffer, signal))
        this.#known.set(key, sha256)
        sums.push([first, last, changes, sha256])
      }
    } finally {
      await file.close()
    }
    return sums
  }
}

/** To be asked with ascending ranges. A piece may lie in several. */
function changesIn(changed: readonly ChangedPiece[]): (start: number, end: number) => string {
  let next = 0
  return (start, end) => {
    while (next < changed.length && (changed[next]!.index + 1) * touchedGrain <= start) next++
    if (next === changed.length || changed[next]!.index * touchedGrain >= end) return ''
    const hash = createHash('sha256')
    for (let at = next; at < changed.length && changed[at]!.index * touchedGrain < end; at++) {
      hash.update(`${changed[at]!.index} ${changed[at]!.sha256}\n`)
    }
    return hash.digest('hex')
  }
}

/** The image's end cuts the last block. */
async function sumOf(
  file: FileHandle,
  { first, last }: BlockRange,
  buffer: Buffer,
  signal: AbortSignal,
): Promise<string> {
  const hash = createHash('sha256')
  const end = (last + 1) * bmapBlockSize
  for (let at = first * bmapBlockSize; at < end; ) {
    signal.throwIfAborted()
    const { bytesRead } = await file.read(buffer, 0, Math.min(readSize, end - at), at)
    if (bytesRead === 0) break
    hash.update(buffer.subarray(0, bytesRead))
    at += bytesRead
  }
  return hash.digest('hex')
}
