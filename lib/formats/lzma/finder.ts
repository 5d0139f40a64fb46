/** Finds earlier bytes of a range that equal what a match from before the range stood for. */
const hashBits = 16
/** A shorter match is hardly smaller than its literals. */
export const shortest = 4

export class Finder {
  private readonly bytes: Uint8Array
  /** The last place of four bytes with this hash, plus one. */
  private readonly table = new Int32Array(1 << hashBits)
  /** All places of the range before this one are in the table. */
  private next: number

  constructor(bytes: Uint8Array, from: number) {
    this.bytes = bytes
    this.next = from
  }

  /**
   * How far before `position` the bytes from there to `end` were seen last, at least `shortest` of them; 0 for never.
   * Each place goes into the table once, when the first one after it is asked for: so all calls together do no more
   * work than one pass over the range, and none after the dictionary's size, where matches from before cease.
   */
  find(position: number, end: number): number {
    const { bytes, table } = this
    if (end - position < shortest) return 0
    for (; this.next < position; this.next++) table[this.hash(this.next)] = this.next + 1
    const found = table[this.hash(position)]! - 1
    if (found < 0) return 0
    for (let i = 0; i < shortest; i++) if (bytes[found + i] !== bytes[position + i]) return 0
    return position - found
  }

  private hash(at: number): number {
    const { bytes } = this
    const word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    return Math.imul(word, 0x9e3779b1) >>> (32 - hashBits)
  }
}
