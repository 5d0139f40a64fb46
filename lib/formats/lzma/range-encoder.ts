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
   * Encodes `count` decisions and adapts the probabilities. A decision is twice the place of its probability plus the
   * bit; one below zero holds bits of even chance, see `evenBits`.
   */
  encode(list: Int32Array, count: number, probabilities: Uint16Array): void {
    const { bytes } = this
    let { range, low, size } = this
    /** `low` as it was when a byte was last written: less than that means that it ran over. */
    let base = low
    for (let i = 0; i < count; i++) {
      const decision = list[i]!
      if (decision < 0) {
        const value = ~decision
        for (let bit = (value >>> evenShift) - 1; bit >= 0; bit--) {
          range >>>= 1
          low = (low + (range & -((value >>> bit) & 1))) | 0
          if (range >>> 24 === 0) {
            if (low >>> 0 < base >>> 0) carry(bytes, size)
            bytes[size++] = low >>> 24
            low <<= 8
            range <<= 8
            base = low
          }
        }
        continue
      }
      const at = decision >>> 1
      const probability = probabilities[at]!
      const bound = Math.imul(range >>> 11, probability)
      const one = -(decision & 1)
      low = (low + (bound & one)) | 0
      range = (bound + ((range - bound - bound) & one)) | 0
      probabilities[at] = probability + ((2048 - (2017 & one) - probability) >> 5)
      if (range >>> 24 === 0) {
        if (low >>> 0 < base >>> 0) carry(bytes, size)
        bytes[size++] = low >>> 24
        low <<= 8
        range <<= 8
        base = low
      }
    }
    if (low >>> 0 < base >>> 0) carry(bytes, size)
    this.range = range
    this.low = low
    this.size = size
  }

  /** Writes what is left: four bytes. */
  finish(): void {
    for (let shift = 24; shift >= 0; shift -= 8) this.bytes[this.size++] = this.low >>> shift
  }
}

const evenShift = 26

/** A decision for `count` bits of `value` (at most 26, as a distance has), without probabilities. */
export function evenBits(value: number, count: number): number {
  return ~((count << evenShift) | value)
}

function carry(bytes: Uint8Array, size: number): void {
  let at = size - 1
  while (bytes[at] === 0xff) bytes[at--] = 0
  bytes[at]!++
}
