/**
 * Turns symbols into the decisions that LZMA codes them by. It keeps its own state and last distances, so that any
 * symbols may follow each other. Facts: Igor Pavlov's LZMA specification (2015-06-14).
 */
import {
  afterLiteral,
  firstAlignedSlot,
  firstSpecialSlot,
  firstStateAfterMatch,
  layout,
  lengthCoder,
  minMatch,
  newModel,
  type Properties,
  resetModel,
  states,
} from './model.ts'
import { evenBit, listSize } from './range-encoder.ts'

/** Decisions that a symbol takes at most. */
export const mostDecisions = 48

/** The bit 1 in a decision. */
const one = 1

export class SymbolEncoder {
  readonly model = newModel()
  /** Decisions not encoded yet, and how many. */
  readonly list = new Int32Array(listSize)
  count = 0

  private readonly bytes: Uint8Array
  /** Where the dictionary begins. */
  private readonly base: number
  private state = 0
  /** The last four distances. */
  private rep0 = 1
  private rep1 = 1
  private rep2 = 1
  private rep3 = 1
  private lc = 0
  private literalMask = 0
  private positionMask = 0

  /** `base`: where in `bytes`, the block, the dictionary begins. */
  constructor(bytes: Uint8Array, base: number) {
    this.bytes = bytes
    this.base = base
  }

  /** Begins afresh. */
  reset(): void {
    resetModel(this.model)
    this.state = 0
    this.rep0 = this.rep1 = this.rep2 = this.rep3 = 1
  }

  /** Goes on where a decoder stands; `reps` are its last distances, less one each. */
  resume(model: Uint16Array, state: number, reps: Int32Array): void {
    this.model.set(model)
    this.state = state
    this.rep0 = reps[0]! + 1
    this.rep1 = reps[1]! + 1
    this.rep2 = reps[2]! + 1
    this.rep3 = reps[3]! + 1
  }

  use({ lc, lp, pb }: Properties): void {
    this.lc = lc
    this.literalMask = (1 << lp) - 1
    this.positionMask = (1 << pb) - 1
  }

  literal(position: number): void {
    const { list, bytes, state } = this
    const place = position - this.base
    let { count } = this
    list[count++] = (layout.isMatch + (state << 4) + (place & this.positionMask)) << 1
    const previous = place === 0 ? 0 : bytes[position - 1]!
    const context = ((place & this.literalMask) << this.lc) + (previous >> (8 - this.lc))
    const base = (layout.literal + 0x300 * context) << 1
    const symbol = bytes[position]! | 0x100
    let bit = 7
    if (state >= firstStateAfterMatch) {
      // Contexts of their own as long as the byte is what the last match would have gone on with.
      const expected = bytes[position - this.rep0]! | 0x100
      for (; bit >= 0 && symbol >> (bit + 1) === expected >> (bit + 1); bit--) {
        const offset = 0x100 + (((expected >> bit) & 1) << 8)
        list[count++] = base + (offset << 1) + (symbol >> bit)
      }
    }
    for (; bit >= 0; bit--) list[count++] = base + (symbol >> bit)
    this.count = count
    this.state = afterLiteral[state]!
  }

  /** One byte: as a match of length 1 where the last distance gives it, else as a literal. */
  single(position: number): void {
    const source = position - this.rep0
    if (source >= this.base && this.bytes[source] === this.bytes[position]) {
      this.match(position, 1, this.rep0)
    } else this.literal(position)
  }

  /** The last distances, 0 for the very last, up to 3. */
  lastDistance(which: number): number {
    if (which === 0) return this.rep0
    if (which === 1) return this.rep1
    return which === 2 ? this.rep2 : this.rep3
  }

  /** `length`: minMatch to maxMatch, or 1 with the last distance. */
  match(position: number, length: number, distance: number): void {
    const { list, state } = this
    const positionState = (position - this.base) & this.positionMask
    list[this.count++] = ((layout.isMatch + (state << 4) + positionState) << 1) | one
    const isRep = (layout.isRep + state) << 1
    const after = state < firstStateAfterMatch ? 0 : 3
    const which = this.recall(distance)
    if (which === 4) {
      list[this.count++] = isRep
      this.state = 7 + after
      this.length(layout.matchLength, positionState, length)
      this.distance(length, distance - 1)
      return
    }
    list[this.count++] = isRep | one
    for (let question = 0; question < 3 && question <= which; question++) {
      const no = question < which ? one : 0
      list[this.count++] = ((layout.isRepG0 + states * question + state) << 1) | no
    }
    if (which === 0) {
      const long = length === 1 ? 0 : one
      list[this.count++] = ((layout.isRep0Long + (state << 4) + positionState) << 1) | long
      if (length === 1) {
        this.state = state < firstStateAfterMatch ? 9 : 11
        return
      }
    }
    this.state = state < firstStateAfterMatch ? 8 : 11
    this.length(layout.repLength, positionState, length)
  }

  /** Moves a distance to the front of the last four. Returns which it was, 4 for none of them. */
  private recall(distance: number): number {
    if (distance === this.rep0) return 0
    let which = 1
    if (distance !== this.rep1) {
      which = 2
      if (distance !== this.rep2) {
        which = distance === this.rep3 ? 3 : 4
        this.rep3 = this.rep2
      }
      this.rep2 = this.rep1
    }
    this.rep1 = this.rep0
    this.rep0 = distance
    return which
  }

  private length(coder: number, positionState: number, length: number): void {
    const rest = length - minMatch
    const long = rest < 8 ? 0 : one
    this.list[this.count++] = ((coder + lengthCoder.choice) << 1) | long
    if (!long) {
      this.tree(coder + lengthCoder.low + (positionState << 3), rest, 3)
      return
    }
    const longer = rest < 16 ? 0 : one
    this.list[this.count++] = ((coder + lengthCoder.choice2) << 1) | longer
    if (longer) this.tree(coder + lengthCoder.high, rest - 16, 8)
    else this.tree(coder + lengthCoder.mid + (positionState << 3), rest - 8, 3)
  }

  /** `distance`: less one. */
  private distance(length: number, distance: number): void {
    const lengthState = Math.min(length - minMatch, 3)
    if (distance < firstSpecialSlot) {
      this.tree(layout.slot + (lengthState << 6), distance, 6)
      return
    }
    const bits = 30 - Math.clz32(distance)
    const slot = (bits << 1) + (distance >> bits)
    this.tree(layout.slot + (lengthState << 6), slot, 6)
    const start = (2 | (slot & 1)) << bits
    const rest = distance - start
    if (slot < firstAlignedSlot) {
      this.reverseTree(layout.special + start - slot, rest, bits)
    } else {
      for (let bit = bits - 1; bit >= 4; bit--) this.list[this.count++] = evenBit((rest >> bit) & 1)
      this.reverseTree(layout.align, rest & 15, 4)
    }
  }

  private tree(tree: number, value: number, bits: number): void {
    const base = tree << 1
    const symbol = value | (1 << bits)
    for (let bit = bits - 1; bit >= 0; bit--) this.list[this.count++] = base + (symbol >> bit)
  }

  private reverseTree(tree: number, value: number, bits: number): void {
    let node = 1
    for (let bit = 0; bit < bits; bit++) {
      node = (node << 1) | ((value >> bit) & 1)
      this.list[this.count++] = (tree << 1) + node
    }
  }
}
