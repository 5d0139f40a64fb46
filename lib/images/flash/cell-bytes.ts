/** The bytes of a cell: on the card, in the chunk that it is of, and where the two differ. */
import { createHash } from 'node:crypto'
import { touchedGrain } from '../../formats/xz/cut.ts'
import { chunkSize } from '../image.ts'
import type { Cell, Part } from './cells.ts'
import { readPlace } from './compare-places.ts'
import { chunkDigest } from './digests.ts'
import type { Area } from './types.ts'

/** Bytes of one area that are written in one go. Offsets are bytes of the image. */
export interface WriteRun {
  area: number
  offset: number
  length: number
}

/** Equal bytes between two different ones that are written with them: one write is faster than two. */
const maxGap = touchedGrain

/** The parts with their bytes on the card, which `buffer` holds until the next cell. */
export type CardBytes = { part: Part; bytes: Buffer }[]

/** Reads what lies between the first and the last part of each area. `buffer`: as roomFor(chunkSize). */
export async function readCell(
  areas: readonly Area[],
  { parts }: Cell,
  buffer: Buffer,
): Promise<{ parts: CardBytes; read: number }> {
  const found: CardBytes = []
  let read = 0
  for (const [area, { target, image }] of areas.entries()) {
    const here = parts.filter((part) => part.area === area)
    const [first] = here
    const last = here.at(-1)
    if (!first || !last) continue
    const length = last.offset + last.length - first.offset
    // A second area in one chunk is rare: its bytes get a place of their own.
    const room = found.length === 0 ? buffer : Buffer.allocUnsafeSlow(buffer.length)
    const bytes = await readPlace(target, first.offset - image.offset, length, room)
    read += length
    for (const part of here) {
      const from = part.offset - first.offset
      found.push({ part, bytes: bytes.subarray(from, from + part.length) })
    }
  }
  return { parts: found, read }
}

/** The part's bytes in the chunk of the image. */
export function inChunk({ offset, length }: { offset: number; length: number }, chunk: Buffer): Buffer {
  const from = offset % chunkSize
  return chunk.subarray(from, from + length)
}

/** Where the card differs from the chunk, heads aside; and whether heads do. */
export function differences(card: CardBytes, chunk: Buffer): { runs: WriteRun[]; heads: boolean } {
  const runs: WriteRun[] = []
  let heads = false
  for (const { part, bytes } of card) {
    const wanted = inChunk(part, chunk)
    if (bytes.equals(wanted)) continue
    if (part.head) {
      heads = true
      continue
    }
    const own: WriteRun[] = []
    for (const { from, to } of pieces(part)) {
      if (bytes.compare(wanted, from, to, from, to) === 0) continue
      const last = own.at(-1)
      const offset = part.offset + from
      if (last && offset - last.offset - last.length <= maxGap) last.length = part.offset + to - last.offset
      else own.push({ area: part.area, offset, length: to - from })
    }
    runs.push(...own)
  }
  return { runs, heads }
}

/** All of a cell but its heads. */
export function wholeRuns({ parts }: Cell): WriteRun[] {
  return parts.flatMap(({ area, offset, length, head }) => (head ? [] : [{ area, offset, length }]))
}

/** sha256 of the parts that are no heads, of a cell that is less than its chunk. */
export function sumOf(parts: Iterable<{ part: Part; bytes: Buffer }>): string {
  const hash = createHash('sha256')
  for (const { part, bytes } of parts) if (!part.head) hash.update(bytes)
  return hash.digest('hex')
}

export function sumOfChunk({ parts }: Cell, chunk: Buffer): string {
  return sumOf(parts.map((part) => ({ part, bytes: inChunk(part, chunk) })))
}

/** Whether the card holds what was to be written, by its digest; heads aside. */
export async function holds(
  cell: Cell,
  card: CardBytes,
  expected: { digest: string | null; sum?: string },
): Promise<boolean> {
  if (cell.whole) return (await chunkDigest(card[0]!.bytes)) === expected.digest
  return sumOf(card) === expected.sum
}

/** The first byte of the image that the card holds otherwise; heads aside. */
export function firstDifference(card: CardBytes, chunk: Buffer): number | undefined {
  for (const { part, bytes } of card) {
    if (part.head) continue
    const wanted = inChunk(part, chunk)
    const at = bytes.findIndex((byte, i) => byte !== wanted[i])
    if (at >= 0) return part.offset + at
  }
  return undefined
}

/** The pieces in which changes are counted, as far as the part goes; from its start. */
function* pieces({ offset, length }: Part): Generator<{ from: number; to: number }> {
  for (let from = 0; from < length; ) {
    const to = Math.min(length, from + touchedGrain - ((offset + from) % touchedGrain))
    yield { from, to }
    from = to
  }
}
