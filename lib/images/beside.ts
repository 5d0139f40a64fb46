/** Work that goes on at the same time, and ends together. */

/**
 * Runs the tasks beside each other, each to its end: nothing goes on after this. The first failure aborts the signal that
 * the tasks get, and is the one that is thrown.
 */
export async function beside<T extends readonly unknown[]>(
  signal: AbortSignal,
  tasks: readonly [...{ [K in keyof T]: (signal: AbortSignal) => Promise<T[K]> }],
): Promise<T> {
  const stop = new AbortController()
  const bound = AbortSignal.any([signal, stop.signal])
  let failure: { error: unknown } | undefined
  const results = tasks.map((task) =>
    task(bound).catch((error: unknown) => {
      failure ??= { error }
      stop.abort()
    }),
  )
  const done = await Promise.all(results)
  if (failure) throw failure.error
  return done as unknown as T
}
