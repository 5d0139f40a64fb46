/** Chance that repeats itself: the same seed, the same choices. */
import { createCipheriv, createHash } from 'node:crypto'

const words = Array.from({ length: 200 }, (_, i) =>
  createHash('sha256')
    .update(`word ${i}`)
    .digest('base64')
    .slice(0, 2 + (i % 9)),
)

export class Random {
  readonly #stream

  constructor(seed: string) {
    const key = createHash('sha256').update(seed).digest()
    this.#stream = createCipheriv('aes-128-ctr', key.subarray(0, 16), key.subarray(16))
  }

  bytes(length: number): Buffer {
    return this.#stream.update(Buffer.alloc(length))
  }

  /** A whole number from `least` to `most`. */
  int(least: number, most: number): number {
    return least + (this.bytes(6).readUIntLE(0, 6) % (most - least + 1))
  }

  chance(probability: number): boolean {
    return this.int(0, 999_999) < probability * 1_000_000
  }

  pick<T>(list: readonly T[]): T {
    return list[this.int(0, list.length - 1)]!
  }

  /** `count` bytes of a kind that files have: noise, text, a pattern, zeros, or pieces of those. */
  content(length: number): Buffer {
    switch (this.int(0, 5)) {
      case 0:
        return this.bytes(length)
      case 1:
        return Buffer.alloc(length, this.bytes(this.int(1, 300)))
      case 2: {
        const half = length >> 1
        return Buffer.concat([this.content(half), this.content(length - half)])
      }
      case 3:
        return Buffer.alloc(length)
      default:
        return this.text(length)
    }
  }

  text(length: number): Buffer {
    const parts: string[] = []
    for (let size = 0; size < length; size += parts.at(-1)!.length + 1) parts.push(this.pick(words))
    return Buffer.from(parts.join(' ')).subarray(0, length)
  }

  /** How long a file is: mostly short, sometimes long. */
  fileSize(most: number): number {
    return Math.min(most, this.int(0, 2 ** this.int(0, 20)))
  }
}
