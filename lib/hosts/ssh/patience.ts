/** How long a machine may take to let us in. The user's own time for answers is not counted. */
import { FleetsieError } from '../../errors.ts'
import type { Prompts } from './types.ts'

/** A clock of `ms` milliseconds that starts at once, and ends by `end`; `outer` interrupts it. */
export class Patience {
  private readonly controller = new AbortController()
  private readonly outer: AbortSignal
  private readonly late: FleetsieError
  private left: number
  private timer: NodeJS.Timeout | undefined
  private since = 0

  constructor(name: string, ms: number, outer: AbortSignal) {
    this.outer = outer
    this.left = ms
    this.late = new FleetsieError('E_TIMEOUT', `${name} has not let us in after ${ms / 1000} s`, {
      hint: 'look whether the machine is on, and whether a firewall lets ssh through',
    })
    outer.addEventListener('abort', this.interrupt, { once: true })
    if (outer.aborted) this.interrupt()
    this.run()
  }

  /** Aborted with the error that says why. */
  get signal(): AbortSignal {
    return this.controller.signal
  }

  /** The same questions, with the clock stopped. */
  around(prompts: Prompts): Prompts {
    const asking = async <T>(question: () => Promise<T>): Promise<T> => {
      clearTimeout(this.timer)
      this.left -= Date.now() - this.since
      try {
        return await question()
      } finally {
        this.run()
      }
    }
    return {
      secret: (question) => asking(() => prompts.secret(question)),
      confirm: (question, details) => asking(() => prompts.confirm(question, details)),
    }
  }

  end(): void {
    clearTimeout(this.timer)
    this.outer.removeEventListener('abort', this.interrupt)
  }

  private run(): void {
    this.since = Date.now()
    this.timer = setTimeout(() => this.controller.abort(this.late), Math.max(this.left, 1))
  }

  private readonly interrupt = (): void =>
    this.controller.abort(new FleetsieError('E_INTERRUPTED', 'the connection was interrupted'))
}
