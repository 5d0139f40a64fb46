/**
 * Decodes LZMA symbols. The range decoder is written out at each place that reads a bit: with its state in fields or
 * behind calls it takes twice the time. Facts: Igor Pavlov's LZMA specification (2015-06-14).
 */
import { damaged } from '../xz/damage.ts'
import { type Decoder, symbolsAtOnce } from './decoder.ts'
import {
  afterLiteral,
  firstAlignedSlot,
  firstSpecialSlot,
  firstStateAfterMatch,
  layout,
  lengthCoder,
  minMatch,
  states,
} from './model.ts'

const tooFar = 'a match reaches too far back'

/**
 * Decodes some symbols of the chunk that `decoder` began last, and returns how many; 0 at its end.
 * @throws E_DAMAGED with the place in the payload
 */
export function decodeSymbols(decoder: Decoder): number {
  const chunk = decoder.chunk!
  const { bytes, payload, lengths, distances, model, reps, dictionaryStart } = decoder
  const { isMatch, isRep, isRepG0, isRep0Long } = layout
  const { lc, lp, pb } = chunk.properties!
  const positionMask = (1 << pb) - 1
  const literalMask = (1 << lp) - 1
  const end = chunk.to
  let { position, state, range, code, at } = decoder
  let rep0 = reps[0]!
  let rep1 = reps[1]!
  let rep2 = reps[2]!
  let rep3 = reps[3]!
  let count = 0

  while (position < end && count < symbolsAtOnce) {
    const place = position - dictionaryStart
    const positionState = place & positionMask
    let index = isMatch + (state << 4) + positionState
    let probability = model[index]!
    let bound = Math.imul(range >>> 11, probability)

    if (code >>> 0 < bound >>> 0) {
      range = bound
      model[index] = probability + ((2048 - probability) >> 5)
      if (range >>> 24 === 0) {
        range <<= 8
        code = (code << 8) | payload[at++]!
      }
      const previous = place === 0 ? 0 : bytes[position - 1]!
      const base = layout.literal + 0x300 * (((place & literalMask) << lc) + (previous >> (8 - lc)))
      let symbol = 1
      if (state >= firstStateAfterMatch) {
        // What the last match would have gone on with tells what this byte is not, up to the first difference.
        let expected = bytes[position - rep0 - 1]!
        let offset = 0x100
        do {
          expected <<= 1
          index = base + offset + (expected & offset) + symbol
          probability = model[index]!
          bound = Math.imul(range >>> 11, probability)
          if (code >>> 0 < bound >>> 0) {
            range = bound
            model[index] = probability + ((2048 - probability) >> 5)
            symbol <<= 1
            offset &= ~expected
          } else {
            range = (range - bound) | 0
            code = (code - bound) | 0
            model[index] = probability - (probability >> 5)
            symbol = (symbol << 1) | 1
            offset &= expected
          }
          if (range >>> 24 === 0) {
            range <<= 8
            code = (code << 8) | payload[at++]!
          }
        } while (symbol < 0x100)
      } else {
        do {
          index = base + symbol
          probability = model[index]!
          bound = Math.imul(range >>> 11, probability)
          if (code >>> 0 < bound >>> 0) {
            range = bound
            model[index] = probability + ((2048 - probability) >> 5)
            symbol <<= 1
          } else {
            range = (range - bound) | 0
            code = (code - bound) | 0
            model[index] = probability - (probability >> 5)
            symbol = (symbol << 1) | 1
          }
          if (range >>> 24 === 0) {
            range <<= 8
            code = (code << 8) | payload[at++]!
          }
        } while (symbol < 0x100)
      }
      bytes[position++] = symbol
      state = afterLiteral[state]!
      lengths[count] = 1
      distances[count++] = 0
      continue
    }

    range = (range - bound) | 0
    code = (code - bound) | 0
    model[index] = probability - (probability >> 5)
    if (range >>> 24 === 0) {
      range <<= 8
      code = (code << 8) | payload[at++]!
    }
    const limit = Math.min(place, decoder.dictionarySize)
    let lengthAt: number = layout.matchLength
    index = isRep + state
    probability = model[index]!
    bound = Math.imul(range >>> 11, probability)
    const repeated = code >>> 0 >= bound >>> 0
    if (repeated) {
      range = (range - bound) | 0
      code = (code - bound) | 0
      model[index] = probability - (probability >> 5)
      if (range >>> 24 === 0) {
        range <<= 8
        code = (code << 8) | payload[at++]!
      }
      let which = 0
      for (; which < 3; which++) {
        index = isRepG0 + states * which + state
        probability = model[index]!
        bound = Math.imul(range >>> 11, probability)
        const found = code >>> 0 < bound >>> 0
        if (found) {
          range = bound
          model[index] = probability + ((2048 - probability) >> 5)
        } else {
          range = (range - bound) | 0
          code = (code - bound) | 0
          model[index] = probability - (probability >> 5)
        }
        if (range >>> 24 === 0) {
          range <<= 8
          code = (code << 8) | payload[at++]!
        }
        if (found) break
      }
      if (which === 0) {
        index = isRep0Long + (state << 4) + positionState
        probability = model[index]!
        bound = Math.imul(range >>> 11, probability)
        if (code >>> 0 < bound >>> 0) {
          range = bound
          model[index] = probability + ((2048 - probability) >> 5)
          if (range >>> 24 === 0) {
            range <<= 8
            code = (code << 8) | payload[at++]!
          }
          if (rep0 >= limit) throw damaged(tooFar, at)
          bytes[position] = bytes[position - rep0 - 1]!
          position++
          state = state < firstStateAfterMatch ? 9 : 11
          lengths[count] = 1
          distances[count++] = rep0 + 1
          continue
        }
        range = (range - bound) | 0
        code = (code - bound) | 0
        model[index] = probability - (probability >> 5)
      } else {
        const distance = which === 1 ? rep1 : which === 2 ? rep2 : rep3
        if (which === 3) rep3 = rep2
        if (which >= 2) rep2 = rep1
        rep1 = rep0
        rep0 = distance
      }
      state = state < firstStateAfterMatch ? 8 : 11
      lengthAt = layout.repLength
    } else {
      range = bound
      model[index] = probability + ((2048 - probability) >> 5)
      state = state < firstStateAfterMatch ? 7 : 10
    }
    if (range >>> 24 === 0) {
      range <<= 8
      code = (code << 8) | payload[at++]!
    }

    // The length: a choice or two, then a tree.
    let tree = lengthAt + lengthCoder.low + (positionState << 3)
    let length = minMatch
    let treeEnd = 8
    index = lengthAt + lengthCoder.choice
    probability = model[index]!
    bound = Math.imul(range >>> 11, probability)
    if (code >>> 0 < bound >>> 0) {
      range = bound
      model[index] = probability + ((2048 - probability) >> 5)
    } else {
      range = (range - bound) | 0
      code = (code - bound) | 0
      model[index] = probability - (probability >> 5)
      if (range >>> 24 === 0) {
        range <<= 8
        code = (code << 8) | payload[at++]!
      }
      index = lengthAt + lengthCoder.choice2
      probability = model[index]!
      bound = Math.imul(range >>> 11, probability)
      if (code >>> 0 < bound >>> 0) {
        range = bound
        model[index] = probability + ((2048 - probability) >> 5)
        tree = lengthAt + lengthCoder.mid + (positionState << 3)
        length = minMatch + 8
      } else {
        range = (range - bound) | 0
        code = (code - bound) | 0
        model[index] = probability - (probability >> 5)
        tree = lengthAt + lengthCoder.high
        length = minMatch + 16
        treeEnd = 256
      }
    }
    if (range >>> 24 === 0) {
      range <<= 8
      code = (code << 8) | payload[at++]!
    }
    let symbol = 1
    do {
      index = tree + symbol
      probability = model[index]!
      bound = Math.imul(range >>> 11, probability)
      if (code >>> 0 < bound >>> 0) {
        range = bound
        model[index] = probability + ((2048 - probability) >> 5)
        symbol <<= 1
      } else {
        range = (range - bound) | 0
        code = (code - bound) | 0
        model[index] = probability - (probability >> 5)
        symbol = (symbol << 1) | 1
      }
      if (range >>> 24 === 0) {
        range <<= 8
        code = (code << 8) | payload[at++]!
      }
    } while (symbol < treeEnd)
    length += symbol - treeEnd

    if (!repeated) {
      rep3 = rep2
      rep2 = rep1
      rep1 = rep0
      tree = layout.slot + (Math.min(length - minMatch, 3) << 6)
      symbol = 1
      do {
        index = tree + symbol
        probability = model[index]!
        bound = Math.imul(range >>> 11, probability)
        if (code >>> 0 < bound >>> 0) {
          range = bound
          model[index] = probability + ((2048 - probability) >> 5)
          symbol <<= 1
        } else {
          range = (range - bound) | 0
          code = (code - bound) | 0
          model[index] = probability - (probability >> 5)
          symbol = (symbol << 1) | 1
        }
        if (range >>> 24 === 0) {
          range <<= 8
          code = (code << 8) | payload[at++]!
        }
      } while (symbol < 64)
      const slot = symbol - 64
      rep0 = slot
      if (slot >= firstSpecialSlot) {
        let bits = (slot >> 1) - 1
        rep0 = (2 | (slot & 1)) << bits
        tree = layout.special + rep0 - slot
        if (slot >= firstAlignedSlot) {
          let high = 0
          for (let bit = bits - 4; bit > 0; bit--) {
            range >>>= 1
            const zero = code >>> 0 < range >>> 0
            high <<= 1
            if (!zero) {
              code = (code - range) | 0
              high |= 1
            }
            if (range >>> 24 === 0) {
              range <<= 8
              code = (code << 8) | payload[at++]!
            }
          }
          rep0 += high << 4
          bits = 4
          tree = layout.align
        }
        symbol = 1
        for (let bit = 0; bit < bits; bit++) {
          index = tree + symbol
          probability = model[index]!
          bound = Math.imul(range >>> 11, probability)
          if (code >>> 0 < bound >>> 0) {
            range = bound
            model[index] = probability + ((2048 - probability) >> 5)
            symbol <<= 1
          } else {
            range = (range - bound) | 0
            code = (code - bound) | 0
            model[index] = probability - (probability >> 5)
            symbol = (symbol << 1) | 1
            rep0 += 1 << bit
          }
          if (range >>> 24 === 0) {
            range <<= 8
            code = (code << 8) | payload[at++]!
          }
        }
        rep0 |= 0
      }
    }

    // Distances of 2^31 and more are below zero here.
    if (rep0 >>> 0 >= limit) throw damaged(tooFar, at)
    if (length > end - position) throw damaged('a match goes on beyond its chunk', at)
    lengths[count] = length
    distances[count++] = rep0 + 1
    const distance = rep0 + 1
    const matchEnd = position + length
    if (length > 32 && distance >= length) {
      bytes.copyWithin(position, position - distance, matchEnd - distance)
      position = matchEnd
    } else {
      do {
        bytes[position] = bytes[position - distance]!
        position++
      } while (position < matchEnd)
    }
  }

  if (at > chunk.end || (position === end && (at !== chunk.end || code !== 0))) {
    throw damaged('a chunk does not end where its header says', chunk.at)
  }
  decoder.position = position
  decoder.state = state
  decoder.range = range
  decoder.code = code
  decoder.at = at
  reps[0] = rep0
  reps[1] = rep1
  reps[2] = rep2
  reps[3] = rep3
  return count
}
