/** Bytes that compress as those of real disks do, the same in each run. */
import { closeSync, openSync, readSync } from 'node:fs'

/** Numbers from 0 to below `limit`. */
export function numbers(seed: number): (limit: number) => number {
  let state = seed
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * limit)
  }
}

export function noise(length: number, seed = 1): Buffer {
  const next = numbers(seed)
  return Buffer.from(Uint8Array.from({ length }, () => next(256)))
}

/** Words of a small vocabulary, the first ones most often. */
export function text(length: number, seed = 1): Buffer {
  const next = numbers(seed)
  const words = Array.from({ length: 2000 }, () =>
    Array.from({ length: 2 + next(8) }, () => String.fromCharCode(97 + next(26))).join(''),
  )
  const parts: string[] = []
  for (let size = 0; size < length; size += parts.at(-1)!.length) {
    parts.push(`${words[next(next(2000) + 1)]}${next(12) === 0 ? '\n' : ' '}`)
  }
  return Buffer.from(parts.join('').slice(0, length))
}

/** Machine code and tables: a part of the program that runs the tests. */
export function binary(length: number): Buffer {
  const bytes = Buffer.alloc(length)
  const file = openSync(process.execPath, 'r')
  readSync(file, bytes, 0, length, 20 * 1024 * 1024)
  closeSync(file)
  return bytes
}

/** A little of everything, with repetitions near and far; 450 kB. */
export function mixture(seed = 1): Buffer {
  const parts = [
    text(60_000, seed),
    noise(90_000, seed),
    binary(60_000),
    Buffer.alloc(50_000),
    noise(70_000, 9),
  ]
  const again = [parts[0]!.subarray(1000, 20_000), parts[1]!.subarray(5, 40_000), parts[2]!]
  return Buffer.concat([...parts, ...again])
}
