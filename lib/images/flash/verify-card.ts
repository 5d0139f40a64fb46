/** Reads back what was written to a card, and writes what does not hold once more. */
import { FleetsieError } from '../../errors.ts'
import { chunkSize } from '../image.ts'
import { alignedBuffers } from './buffers.ts'
import type { CardPlan } from './card-plan.ts'
import { firstDifference, holds, inChunk, readCell, wholeRuns } from './cell-bytes.ts'
import type { Cell } from './cells.ts'
import { roomFor } from './compare-places.ts'
import { learnHeads } from './heads.ts'
import type { CellLine } from './journal.ts'
import type { Card, DiskImage } from './types.ts'

/** Reads under way. */
const readers = 4
/** Cells that are written once more: where more are wrong, the card is not worth it. */
const maxRetried = 64
const noteMs = 1_000

export interface Verification {
  card: Card
  plan: CardPlan
  image: DiskImage
  signal: AbortSignal
  /** Hears the bytes that were read back. */
  progress(bytes: number): void
}

/** The cells that were written and not yet read back. */
export function unverified({ cells, records }: CardPlan): Cell[] {
  return [...cells.values()].filter(({ chunk }) => records.get(chunk)?.state === 'written')
}

/**
 * Reads back all that was written, past the cache, heads aside. Answers the bytes read and those written once more.
 * @throws E_VERIFY with the device and its first wrong byte where the card does not hold it the second time either
 */
export async function verifyCells(
  verification: Verification,
): Promise<{ bytesVerified: number; bytesWritten: number }> {
  const { plan } = verification
  const cells = unverified(plan)
  if (cells.length === 0) return { bytesVerified: 0, bytesWritten: 0 }
  const first = await readBack(verification, cells)
  let bytesWritten = 0
  if (first.wrong.length > 0) {
    bytesWritten = await writeAgain(verification, first.wrong)
    const second = await readBack(verification, first.wrong)
    if (second.wrong.length > 0) throw await wrongCell(verification, second.wrong[0]!)
  }
  return { bytesVerified: first.bytes, bytesWritten }
}

async function readBack(
  { card, plan, signal, progress }: Verification,
  cells: readonly Cell[],
): Promise<{ bytes: number; wrong: Cell[] }> {
  for (const { target } of card.areas) await target.forget()
  const wrong: Cell[] = []
  let lines: CellLine[] = []
  let noted = performance.now()
  let bytes = 0
  let next = 0
  let failure: unknown
  const note = async (): Promise<void> => {
    const fresh = lines
    lines = []
    noted = performance.now()
    await plan.journal.add('verified', fresh)
  }
  const reader = async (buffer: Buffer): Promise<void> => {
    while (failure === undefined && next < cells.length) {
      signal.throwIfAborted()
      const cell = cells[next++]!
      const record = plan.records.get(cell.chunk)!
      const { parts } = await readCell(card.areas, cell, buffer)
      if (await holds(cell, parts, record)) {
        plan.records.set(cell.chunk, { ...record, state: 'verified' })
        const { digest, sum } = record
        lines.push(sum === undefined ? [cell.chunk, digest] : [cell.chunk, digest, sum])
        if (performance.now() - noted > noteMs) await note()
      } else wrong.push(cell)
      for (const { length } of wholeRuns(cell)) bytes += length
      progress(cell.length)
    }
  }
  const buffers = alignedBuffers(Math.min(readers, cells.length), roomFor(chunkSize))
  // A card must not be closed under a read.
  await Promise.all(buffers.map((buffer) => reader(buffer).catch((error: unknown) => (failure ??= error))))
  await note()
  if (failure !== undefined) throw failure
  wrong.sort((a, b) => a.chunk - b.chunk)
  return { bytes, wrong }
}

async function writeAgain(verification: Verification, wrong: readonly Cell[]): Promise<number> {
  const { card, image, signal } = verification
  if (wrong.length > maxRetried) throw await wrongCell(verification, wrong[0]!)
  let written = 0
  for (const cell of wrong) {
    const chunk = await chunkOf(image, cell.chunk, signal)
    for (const run of wholeRuns(cell)) {
      const { target, image } = card.areas[run.area]!
      await target.write(inChunk(run, chunk), run.offset - image.offset)
      written += run.length
    }
  }
  for (const { target } of card.areas) await target.flush()
  return written
}

async function wrongCell({ card, image, signal }: Verification, cell: Cell): Promise<FleetsieError> {
  const [buffer] = alignedBuffers(1, roomFor(chunkSize)) as [Buffer]
  const { parts } = await readCell(card.areas, cell, buffer)
  const at = firstDifference(parts, await chunkOf(image, cell.chunk, signal)) ?? cell.parts[0]!.offset
  return wrongByte(card, at)
}

/** `at`: byte of the image. */
function wrongByte({ areas }: Card, at: number): FleetsieError {
  const { target, image } = areas.find((area) => at < area.image.offset + area.image.length) ?? areas.at(-1)!
  return new FleetsieError(
    'E_VERIFY',
    `${target.path} does not hold what was written to it: byte ${at - image.offset} reads back differently, twice`,
    { file: target.path, hint: 'the card is worn out, or holds less than it says: use another one' },
  )
}

/** Makes the card valid, when all else on it is. Answers the bytes written. @throws E_VERIFY */
export async function restoreHeads({ card, plan, image, signal }: Verification): Promise<number> {
  let written = 0
  for (const area of card.areas.keys()) await learnHeads(plan.heads, area, image, signal)
  // The first partition is what a device boots from.
  for (const area of [...card.areas.keys()].reverse()) {
    let result = await plan.heads.restore(area)
    if (result.wrong !== undefined) result = await plan.heads.restore(area)
    if (result.wrong !== undefined) throw wrongByte(card, result.wrong)
    written += result.written
  }
  return written
}

/** One chunk of the image, in memory of its own. */
async function chunkOf(image: DiskImage, index: number, signal: AbortSignal): Promise<Buffer> {
  const offset = index * chunkSize
  const length = Math.min(chunkSize, image.size - offset)
  const [chunk] = alignedBuffers(1, length) as [Buffer]
  for await (const { at, bytes } of image.read([{ offset, length }], signal)) bytes.copy(chunk, at - offset)
  return chunk
}
