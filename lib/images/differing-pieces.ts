/** Which pieces of a raw image differ from another image's. */
import { type FileHandle, open } from 'node:fs/promises'
import { touchedGrain } from '../formats/xz/cut.ts'
import { type ByteRange, rangesOnDisk } from './byte-ranges.ts'

const readSize = 1024 * 1024

export interface Piece {
  /** From the start of the disk, in pieces of `touchedGrain`. */
  index: number
  /** Of the first image. The last piece may be shorter. Overwritten when the next piece is asked for. */
  bytes: Buffer
}

/**
 * Compares the pieces in which `ranges` lie, and no others; ascending. What one image has behind the other's end is held
 * against zeros. Memory: 2 MiB.
 */
export async function* differingPieces(
  image: string,
  other: string,
  ranges: readonly ByteRange[],
  signal: AbortSignal,
): AsyncGenerator<Piece> {
  const mine = Buffer.allocUnsafeSlow(readSize)
  const theirs = Buffer.allocUnsafeSlow(readSize)
  const [a, b] = await openBoth(image, other)
  try {
    const { size } = await a.stat()
    for (const { offset, length } of wholePieces(ranges)) {
      const end = Math.min(offset + length, size)
      for (let at = offset; at < end; at += readSize) {
        signal.throwIfAborted()
        const count = Math.min(readSize, end - at)
        await Promise.all([readPadded(a, mine, count, at), readPadded(b, theirs, count, at)])
        if (mine.compare(theirs, 0, count, 0, count) === 0) continue
        for (let from = 0; from < count; from += touchedGrain) {
          const to = Math.min(from + touchedGrain, count)
          if (mine.compare(theirs, from, to, from, to) === 0) continue
          yield { index: (at + from) / touchedGrain, bytes: mine.subarray(from, to) }
        }
      }
    }
  } finally {
    await Promise.all([a.close(), b.close()])
  }
}

function wholePieces(ranges: readonly ByteRange[]): ByteRange[] {
  const whole = ranges.map(({ offset, length }): [number, number] => {
    const start = Math.floor(offset / touchedGrain) * touchedGrain
    return [start, Math.ceil((offset + length) / touchedGrain) * touchedGrain - start]
  })
  return rangesOnDisk(whole, 0)
}

async function openBoth(image: string, other: string): Promise<[FileHandle, FileHandle]> {
  const first = await open(image, 'r')
  try {
    return [first, await open(other, 'r')]
  } catch (error) {
    await first.close()
    throw error
  }
}

async function readPadded(file: FileHandle, into: Buffer, length: number, offset: number): Promise<void> {
  let got = 0
  while (got < length) {
    const { bytesRead } = await file.read(into, got, length - got, offset + got)
    if (bytesRead === 0) break
    got += bytesRead
  }
  into.fill(0, got, length)
}
