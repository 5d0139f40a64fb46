/**
 * LZMA's range encoder, fed with lists of decisions: so the loop that takes most of the time is short, keeps its
 * state in registers and has no branch that depends on the data but one.
 */

/** Decisions that a list holds at most. */
export const listSize = 8192

/** Range and low are 32 bits, kept as signed numbers: so nothing becomes a float. */
export class RangeEncoder {
  readonly bytes: Uint8Array
  /** How many of `bytes` are written. */
  size = 0
  private range = -1
  private low = 0
  /** Where bytes stood in front of when one was to be added to them. */
  private readonly carries = new Int32Array(listSize + 1)

  /** `capacity`: bytes that it will ever write between two begins. Going beyond is the caller's fault. */
  constructor(capacity: number) {
    this.bytes = new Uint8Array(capacity)
  }

  begin(): void {
    this.range = -1
    this.low = 0
    // Never anything but zero: room for a carry that cannot come.
    this.bytes[0] = 0
    this.size = 1
  }

  /**
   * Encodes `count` decisions, `listSize` at most, and adapts the probabilities. A decision is twice the place of its
   * probability plus the bit, or an `evenBit`. There is no loop within the loop: then the compiler looks once only at
   * what the arrays are.
   */
  encode(list: Int32Array, count: number, probabilities: Uint16Array): void {
    const { bytes, carries } = this
    let { range, low, size } = this
    let carried = 0
    /** `low` as it was when a byte was last written: less than that means that it ran over. */
    let base = low
    for (let i = 0; i < count; i++) {
      const decision = list[i]!
      const one = -(decision & 1)
      if (decision < 0) {
        range >>>= 1
        low = ((low | 0) + (range & one)) | 0
      } else {
        const at = decision >>> 1
        const probability = probabilities[at]!
        // For a 1 the bound with its sign changed: the next range then takes one multiplication and one addition.
        const bound = Math.imul(range >>> 11, (probability ^ one) - one)
        low = ((low | 0) - (bound & one)) | 0
        range = (bound + (range & one)) | 0
        probabilities[at] = probability + ((2048 - (2017 & one) - probability) >> 5)
      }
      if (range >>> 24 === 0) {
        if (low >>> 0 < base >>> 0) carries[carried++] = size
        bytes[size++] = low >>> 24
        low <<= 8
        range <<= 8
        base = low
      }
    }
    if (low >>> 0 < base >>> 0) carries[carried++] = size
    for (let i = 0; i < carried; i++) carry(bytes, carries[i]!)
    this.range = range
    this.low = low
    this.size = size
  }

  /** Writes what is left: four bytes. */
  finish(): void {
    for (let shift = 24; shift >= 0; shift -= 8) this.bytes[this.size++] = this.low >>> shift
  }
}

/** A decision of even chance, whatever came before. */
export function evenBit(bit: number): number {
  return ~(bit ^ 1)
}

function carry(bytes: Uint8Array, size: number): void {
  let at = size - 1
  while (bytes[at] === 0xff) bytes[at--] = 0
  bytes[at]!++
}
