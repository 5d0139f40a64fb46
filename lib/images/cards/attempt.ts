/** One card's failure must not end the work on the others. */
export type Attempt<T> = { value: T } | { error: Error }

export async function attempt<T>(work: () => Promise<T>): Promise<Attempt<T>> {
  try {
    return { value: await work() }
  } catch (error) {
    return { error: error as Error }
  }
}
