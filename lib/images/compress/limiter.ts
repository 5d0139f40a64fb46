/** How much runs at once. */

export type Limiter = <T>(task: () => Promise<T>) => Promise<T>

/** Runs at most `width` of the tasks given to it at once, in the order in which they come. */
export function limiter(width: number): Limiter {
  const waiting: (() => void)[] = []
  let running = 0
  return async (task) => {
    if (running >= width) await new Promise<void>((resolve) => waiting.push(resolve))
    else running++
    try {
      return await task()
    } finally {
      // The place goes to the next in line, or is free.
      const next = waiting.shift()
      if (next) next()
      else running--
    }
  }
}
