/** How fast something goes of late, and how long it still takes. */

const span = 5_000
const minSpan = 300
/** Milliseconds between two samples. */
const step = 100

export class Pace {
  readonly #samples: { at: number; done: number }[] = [{ at: performance.now(), done: 0 }]

  /** Whether so long has passed since the last sample that one more says something; it is taken then. */
  due(done: number): boolean {
    const at = performance.now()
    if (at - this.#samples.at(-1)!.at < step) return false
    this.#samples.push({ at, done })
    while (at - this.#samples[0]!.at > span) this.#samples.shift()
    return true
  }

  /** Bytes a second; milliseconds for the rest, undefined while nobody can tell. */
  of(total: number): { rate: number; left: number | undefined } {
    const first = this.#samples[0]!
    const last = this.#samples.at(-1)!
    const ms = last.at - first.at
    const rate = ms < minSpan ? 0 : ((last.done - first.done) * 1000) / ms
    return { rate, left: rate > 0 ? Math.round(((total - last.done) * 1000) / rate) : undefined }
  }
}
