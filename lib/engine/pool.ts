/** How much runs at once: one semaphore for each kind of work. */
import { availableParallelism } from 'node:os'

export type PoolName = 'cpu' | 'io' | 'net' | 'mount'

class Semaphore {
  private free: number
  private readonly waiting: (() => void)[] = []

  constructor(size: number) {
    this.free = size
  }

  async use<T>(work: () => Promise<T>): Promise<T> {
    if (this.free > 0) this.free--
    else await new Promise<void>((resolve) => this.waiting.push(resolve))
    try {
      return await work()
    } finally {
      const next = this.waiting.shift()
      // A place is handed on without becoming free, so that nobody overtakes who waits.
      if (next) next()
      else this.free++
    }
  }
}

/** The pools of one build. `jobs` bounds cpu and io; mounts are few because the kernel's loop devices are. */
export class Pools {
  private readonly pools: Record<PoolName, Semaphore>

  constructor(jobs: number = availableParallelism()) {
    this.pools = {
      cpu: new Semaphore(jobs),
      io: new Semaphore(jobs),
      net: new Semaphore(4),
      mount: new Semaphore(1),
    }
  }

  use<T>(pool: PoolName, work: () => Promise<T>): Promise<T> {
    return this.pools[pool].use(work)
  }
}
