/** Figures of several runs as one: median, least and most. */

export interface Spread {
  median: number
  min: number
  max: number
}

export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('there is no median of nothing')
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

export function spread(values: readonly number[]): Spread {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) }
}

/** Each run of ours over the run of the peer's right after it, so that a machine that slows down slows both. */
export function pairwise(ours: readonly number[], peers: readonly number[]): Spread {
  if (ours.length !== peers.length) throw new RangeError('runs come in pairs')
  return spread(ours.map((value, index) => value / peers[index]!))
}

/** For runs that did not stand beside each other: median over median, between the widest two that the runs allow. */
export function unpaired(ours: readonly number[], peers: readonly number[]): Spread {
  const [our, peer] = [spread(ours), spread(peers)]
  return { median: our.median / peer.median, min: our.min / peer.max, max: our.max / peer.min }
}
