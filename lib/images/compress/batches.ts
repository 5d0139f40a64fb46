/** Shares work among processes. No result depends on how. */

/** In order, as many parts as there are jobs, of about the same weight, but none heavier than `most` if it can be. */
export function batchesOf<T>(
  items: readonly T[],
  weightOf: (item: T) => number,
  jobs: number,
  most: number,
): T[][] {
  const batches: T[][] = []
  const total = items.reduce((sum, item) => sum + weightOf(item), 0)
  const share = Math.min(most, Math.ceil(total / jobs))
  let room = 0
  for (const item of items) {
    const weight = weightOf(item)
    // What fits to less than a half makes the next batch lighter than the share by more than this one heavier.
    if (batches.length === 0 || room < weight / 2) {
      batches.push([])
      room = share
    }
    batches.at(-1)!.push(item)
    room -= weight
  }
  return batches
}

export function groupBy<T, K>(items: Iterable<T>, keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>()
  for (const item of items) {
    const key = keyOf(item)
    const group = groups.get(key)
    if (group) group.push(item)
    else groups.set(key, [item])
  }
  return groups
}
