/**
 * Whether a card holds what it claims, before the long write. Forged ones have less memory than addresses: what is written
 * behind its end is dropped, or overwrites what is in front of it. Both are looked for from a few places, and all that was
 * overwritten gets its bytes back; of a probe that was killed, a flash that reads the card or writes all of it.
 *
 * Drops: what is written at the end, and at places in between, must be there again. Wraps, whatever the true size is: a
 * strip at the start bears numbers, and no place elsewhere, one in each length of the strip, may show one of them.
 */
import { randomBytes } from 'node:crypto'
import { FleetsieError } from '../../errors.ts'
import { alignedBuffers, memoryUnit } from './buffers.ts'
import type { Target } from './types.ts'

const sector = 512
const nonceLength = 16
/** Places at which a write must hold, up to the end. */
const holdingPlaces = 8
/** Reads under way. */
const readers = 4
const MiB = 1024 * 1024
/** Below that nothing is sold. */
const minSize = 8 * MiB

/**
 * Takes about three seconds for 64 GB: the strip grows with the root of the size, so that writing it and looking for it
 * take as long. The card must be opened for writing by this process alone, and its receipt be void.
 * @throws E_VERIFY when it holds less, E_IO when it cannot be read or written
 */
export async function probeCapacity(target: Target, signal: AbortSignal): Promise<void> {
  const size = target.size - (target.size % memoryUnit)
  if (size < minSize) return
  const strip = stripLength(size)
  const places = holdingAt(size, strip)
  const before = await saved(target, [[0, strip], ...places.map((at): [number, number] => [at, memoryUnit])])
  const nonce = randomBytes(nonceLength)
  try {
    // The first bytes first, and back last: who pulls the card out meanwhile has none that seems whole.
    await target.write(numbered(nonce, 0, memoryUnit), 0)
    await target.flush()
    for (const at of places) await target.write(numbered(nonce, at, memoryUnit), at)
    await target.write(numbered(nonce, 0, strip), 0)
    await target.flush()
    await target.forget()
    signal.throwIfAborted()
    await looked(target, { nonce, size, strip, places }, signal)
  } finally {
    const [[, strip], ...others] = before as [[number, Buffer], ...[number, Buffer][]]
    for (const [at, bytes] of others) await target.write(bytes, at)
    await target.write(strip.subarray(memoryUnit), memoryUnit)
    await target.flush()
    // A journal's mark is there as well, by which the rest would be believed.
    await target.write(strip.subarray(0, memoryUnit), 0)
    await target.flush()
    await target.forget()
  }
}

/** A multiple of a MiB. */
function stripLength(size: number): number {
  const length = 16 * Math.sqrt(size / 64e9)
  return Math.min(Math.max(1, Math.round(length)), 64) * MiB
}

function holdingAt(size: number, strip: number): number[] {
  const parts = Array.from({ length: holdingPlaces }, (_, i) => ((i + 1) / holdingPlaces) * size - memoryUnit)
  return parts.map((at) => at - (at % memoryUnit)).filter((at) => at >= strip)
}

async function saved(target: Target, ranges: [at: number, length: number][]): Promise<[number, Buffer][]> {
  await target.forget()
  const before: [number, Buffer][] = []
  for (const [at, length] of ranges) {
    const [bytes] = alignedBuffers(1, length) as [Buffer]
    await target.read(bytes, at)
    before.push([at, bytes])
  }
  return before
}

/** Bytes of which each sector tells where it was written. */
function numbered(nonce: Buffer, at: number, length: number): Buffer {
  const [bytes] = alignedBuffers(1, length) as [Buffer]
  for (let done = 0; done < length; done += sector) {
    nonce.copy(bytes, done)
    bytes.writeBigUInt64LE(BigInt(at + done), done + nonceLength)
  }
  return bytes
}

interface Numbered {
  nonce: Buffer
  size: number
  strip: number
  places: readonly number[]
}

async function looked(
  target: Target,
  { nonce, size, strip, places }: Numbered,
  signal: AbortSignal,
): Promise<void> {
  const own = new Set([0, strip - memoryUnit, ...places])
  const others: number[] = []
  for (let at = strip; at < size; at += strip) if (!own.has(at)) others.push(at)
  const queue = [...own, ...others].values()
  let failure: FleetsieError | undefined
  const look = async (buffer: Buffer): Promise<void> => {
    for (const at of queue) {
      signal.throwIfAborted()
      if (failure) return
      await target.read(buffer, at)
      const from = origin(buffer, nonce)
      if (from !== undefined && from !== at) failure ??= wraps(target, Math.abs(at - from))
      if (from === undefined && own.has(at)) failure ??= drops(target, at)
    }
  }
  // A card must not be closed under a read.
  const ends = await Promise.allSettled(alignedBuffers(readers, memoryUnit).map(look))
  for (const end of ends) if (end.status === 'rejected') throw end.reason
  if (failure) throw failure
}

/** Where the first byte of `bytes` was written to, as far as one of its sectors tells. */
function origin(bytes: Buffer, nonce: Buffer): number | undefined {
  for (let at = 0; at < bytes.length; at += sector) {
    if (bytes.compare(nonce, 0, nonceLength, at, at + nonceLength) !== 0) continue
    return Number(bytes.readBigUInt64LE(at + nonceLength)) - at
  }
  return undefined
}

function wraps({ path, size }: Target, distance: number): FleetsieError {
  const message = `it claims ${size} bytes and holds at most ${distance}: what is written behind that overwrites its start`
  return forged(path, message)
}

function drops({ path, size }: Target, at: number): FleetsieError {
  return forged(path, `it claims ${size} bytes, but what is written at byte ${at} is not there`)
}

function forged(path: string, message: string): FleetsieError {
  return new FleetsieError('E_VERIFY', message, {
    file: path,
    hint: 'it is forged or worn out: take another one. What was on it is as it was',
  })
}
