/** Joins events of files that belong together, and says when there are no more of them. */

/** Milliseconds without an event after which one file, or the few that an editor touches to save it, are at rest. */
const quietMs = 12
/** More paths than this are no single edit: a checkout or a copy, which pauses now and then. */
const fewPaths = 8
const quietBurstMs = 100
/** Then it begins anyway; later events cancel it again. */
const longestMs = 2_000
/** While somebody says that he is at work: how often he is asked, and for how long he is believed. */
const busyMs = 20
const longestBusyMs = 5_000
/** Names of more paths are not kept. */
const mostPaths = 10_000

export interface Edits {
  paths: string[]
  /** How many more there were. */
  more: number
  /** When the last event came, by performance.now(). */
  at: number
}

export class Burst {
  readonly #done: (edits: Edits) => void
  readonly #busy: () => boolean
  readonly #now: () => number
  readonly #paths = new Set<string>()
  #more = 0
  #first = 0
  #last = 0
  #timer: NodeJS.Timeout | undefined

  /** `done` hears of each burst when it is over; `busy` answers whether more events are sure to come. */
  constructor(done: (edits: Edits) => void, busy: () => boolean, now = () => performance.now()) {
    this.#done = done
    this.#busy = busy
    this.#now = now
  }

  /** Without a path: something may have been missed, nobody knows where. */
  add(path?: string): void {
    this.#last = this.#now()
    if (this.#timer === undefined) this.#first = this.#last
    if (path !== undefined) {
      if (this.#paths.size < mostPaths || this.#paths.has(path)) this.#paths.add(path)
      else this.#more++
    }
    const quiet = this.#paths.size > fewPaths ? quietBurstMs : quietMs
    this.#wait(Math.min(quiet, Math.max(0, this.#first + longestMs - this.#last)))
  }

  /** Forgets what it has heard. */
  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#paths.clear()
    this.#more = 0
  }

  #wait(ms: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#end(), ms)
  }

  #end(): void {
    if (this.#busy() && this.#now() - this.#first < longestBusyMs) {
      this.#wait(busyMs)
      return
    }
    const edits = { paths: [...this.#paths], more: this.#more, at: this.#last }
    this.stop()
    this.#done(edits)
  }
}
