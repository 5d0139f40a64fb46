/**
 * What LZMA's decoder and encoder agree on: where each adaptive probability lies in one array, and how the
 * state follows the symbols. Facts: Igor Pavlov's LZMA specification (2015-06-14), lzma-specification.txt.
 */

/** Probabilities are of a bit being 0, in 1/2048; each starts even. */
const even = 1024

/** Contexts of a length coder: two choices, 16 trees of 3 bits for short and middle lengths, one of 8 bits. */
export const lengthCoder = { choice: 0, choice2: 1, low: 2, mid: 130, high: 258 } as const
const lengthCoderSize = 514

/** Where each group begins in the array. `isMatch` and `isRep0Long` are taken by (state << 4) + position state. */
export const layout = {
  isMatch: 0,
  isRep: 192,
  /** Three, one for each question: is it the last distance, the one before, the one before that? */
  isRepG0: 204,
  isRep0Long: 240,
  /** Four trees of 6 bits, by length. */
  slot: 432,
  /** The reverse trees of slots 4 to 13: that of a slot begins at its first distance less the slot. */
  special: 688,
  align: 803,
  matchLength: 819,
  repLength: 819 + lengthCoderSize,
  literal: 819 + 2 * lengthCoderSize,
} as const

/** From this slot on the low four bits of a distance have contexts and those above have none. */
export const firstAlignedSlot = 14
/** From this slot on a distance has bits besides its slot. */
export const firstSpecialSlot = 4
export const minMatch = 2
export const maxMatch = 273
export const states = 12

/** How the models of literals and positions are parted; LZMA2 has lc + lp <= 4 and pb <= 4. */
export interface Properties {
  lc: number
  lp: number
  pb: number
}

const literalSize = 0x300
const maxLiteralBits = 4
/** Enough for all properties that LZMA2 has. */
const modelSize = layout.literal + (literalSize << maxLiteralBits)

/** The properties in their byte; undefined when LZMA2 has none such. */
export function parseProperties(byte: number): Properties | undefined {
  const lc = byte % 9
  const lp = Math.floor(byte / 9) % 5
  const pb = Math.floor(byte / 45)
  return pb > 4 || lc + lp > maxLiteralBits ? undefined : { lc, lp, pb }
}

export function newModel(): Uint16Array {
  return new Uint16Array(modelSize).fill(even)
}

export function resetModel(probabilities: Uint16Array): void {
  probabilities.fill(even)
}

/** The next state after a symbol, by the state before it. States below 7 follow a literal. */
export const afterLiteral = Uint8Array.of(0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 4, 5)
export const firstStateAfterMatch = 7
