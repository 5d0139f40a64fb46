/** One pass over a finished raw image: its sha256, the sums of its mapped ranges, and where it differs from the stock. */
import { createHash, type Hash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { type BlockRange, bmapBlockSize, type HashedRange } from '../formats/bmap.ts'

/** Grain of what is called touched, bytes. */
export const touchedGrain = 64 * 1024
const readSize = 1024 * 1024

export interface ScanResult {
  sha256: string
  ranges: HashedRange[]
  /** True when any byte of the range differs from the stock, or the stock has no such byte. */
  touched(offset: number, length: number): boolean
}

interface ScanRequest {
  image: string
  /** Raw image to compare with, unless there is none: then all is touched. */
  stock?: string | undefined
  /** Bytes of `image`. */
  size: number
  /** Ascending and disjoint. */
  ranges: readonly BlockRange[]
  signal: AbortSignal
  progress(done: number): void
}

/** Reads the image once, sequentially, with one buffer for it and one for the stock. */
export async function scanImage(request: ScanRequest): Promise<ScanResult> {
  const { size, signal } = request
  const whole = createHash('sha256')
  const sums = new RangeSums(request.ranges)
  const pieces = new Uint8Array(Math.ceil(size / touchedGrain))
  const image = await open(request.image, 'r')
  const stock = request.stock === undefined ? undefined : await open(request.stock, 'r')
  try {
    const mine = Buffer.allocUnsafe(readSize)
    const theirs = Buffer.allocUnsafe(readSize)
    for (let offset = 0; offset < size; offset += readSize) {
      signal.throwIfAborted()
      const length = Math.min(readSize, size - offset)
      const [, stockLength] = await Promise.all([
        readFully(image, mine, length, offset),
        stock ? readFully(stock, theirs, length, offset) : 0,
      ])
      whole.update(mine.subarray(0, length))
      sums.update(offset, mine.subarray(0, length))
      markTouched(pieces, offset, mine.subarray(0, length), theirs.subarray(0, stockLength))
      request.progress(offset + length)
    }
  } finally {
    await image.close()
    await stock?.close()
  }
  const touched = (offset: number, length: number): boolean => {
    const first = Math.floor(offset / touchedGrain)
    const last = Math.floor((offset + length - 1) / touchedGrain)
    return pieces.subarray(first, last + 1).includes(1)
  }
  return { sha256: whole.digest('hex'), ranges: sums.finish(), touched }
}

async function readFully(file: FileHandle, buffer: Buffer, length: number, offset: number): Promise<number> {
  let got = 0
  while (got < length) {
    const { bytesRead } = await file.read(buffer, got, length - got, offset + got)
    if (bytesRead === 0) break
    got += bytesRead
  }
  return got
}

function markTouched(pieces: Uint8Array, offset: number, mine: Buffer, theirs: Buffer): void {
  if (mine.equals(theirs)) return
  for (let start = 0; start < mine.length; start += touchedGrain) {
    const end = Math.min(mine.length, start + touchedGrain)
    if (!mine.subarray(start, end).equals(theirs.subarray(start, end))) {
      pieces[(offset + start) / touchedGrain] = 1
    }
  }
}

/** Sums of ascending ranges while the image goes by. */
class RangeSums {
  private readonly ranges: readonly BlockRange[]
  private readonly done: HashedRange[] = []
  private hash: Hash = createHash('sha256')

  constructor(ranges: readonly BlockRange[]) {
    this.ranges = ranges
  }

  update(offset: number, bytes: Buffer): void {
    const end = offset + bytes.length
    for (let range = this.ranges[this.done.length]; range; range = this.ranges[this.done.length]) {
      const rangeStart = range.first * bmapBlockSize
      const rangeEnd = (range.last + 1) * bmapBlockSize
      if (rangeStart >= end) return
      this.hash.update(
        bytes.subarray(Math.max(0, rangeStart - offset), Math.min(bytes.length, rangeEnd - offset)),
      )
      if (rangeEnd > end) return
      this.close(range)
    }
  }

  /** The last range may be cut by the image's end. */
  finish(): HashedRange[] {
    const open = this.ranges[this.done.length]
    if (open) this.close(open)
    return this.done
  }

  private close(range: BlockRange): void {
    this.done.push({ ...range, sha256: this.hash.digest('hex') })
    this.hash = createHash('sha256')
  }
}
