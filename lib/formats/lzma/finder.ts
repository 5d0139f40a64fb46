/** Finds earlier bytes of a range that equal what a match from before the range stood for. */
const hashBits = 16
/** Places that can be found: the last so many. All would gain 0.2 % of what is re-coded, and take 64 MB. */
const mostPlaces = 1 << 21
/** Places compared in one search: 16 gain 0.3 % and take twice as long. */
const depth = 4
/** A shorter match is hardly smaller than its literals; one that is just as long must be near. */
const shortest = 4
const near = 4096

export class Finder {
  /** How many bytes are equal at the distance that was found last. */
  length = 0
  private readonly bytes: Uint8Array
  /** By the hash of four bytes, their last place, plus one. */
  private readonly last = new Int32Array(1 << hashBits)
  /** By the lower bits of a place, the one before with the same hash, plus one. */
  private readonly earlier: Int32Array
  /** All places of the range before this one are in the tables. */
  private next: number

  /** For the range [from, to) of `bytes`. */
  constructor(bytes: Uint8Array, from: number, to: number) {
    this.bytes = bytes
    let places = 1
    while (places < to - from && places < mostPlaces) places *= 2
    this.earlier = new Int32Array(places)
    this.next = from
  }

  /**
   * How far before `position` most of the bytes from there to `end` were seen, at most `farthest` bytes; 0 for
   * nowhere. Each place goes into the tables once, when it or one after it is asked for: so all calls together do no
   * more of that work than one pass over the range, and none where matches from before the range cease.
   */
  find(position: number, end: number, farthest: number): number {
    const { bytes, last, earlier } = this
    const mask = earlier.length - 1
    let distance = 0
    this.length = 0
    if (end - position < shortest) return 0
    for (; this.next <= position; this.next++) {
      const hash = this.hash(this.next)
      earlier[this.next & mask] = last[hash]!
      last[hash] = this.next + 1
    }
    let at = earlier[position & mask]! - 1
    const oldest = Math.max(0, position - Math.min(mask, farthest))
    for (let i = 0; i < depth && at >= oldest; i++) {
      const length = equalBytes(bytes, position, position - at, end)
      if (length > this.length && (length > shortest || (length === shortest && position - at <= near))) {
        this.length = length
        distance = position - at
      }
      at = earlier[at & mask]! - 1
    }
    return distance
  }

  private hash(at: number): number {
    const { bytes } = this
    const word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    return Math.imul(word, 0x9e3779b1) >>> (32 - hashBits)
  }
}

/** How many bytes from `at` to `end` equal those `distance` before them, counted up to the first that differs. */
export function equalBytes(bytes: Uint8Array, at: number, distance: number, end: number): number {
  let next = at
  while (next < end && bytes[next] === bytes[next - distance]) next++
  return next - at
}
