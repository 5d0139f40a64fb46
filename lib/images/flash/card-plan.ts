/** What is to be done for a card: which chunks it has to be given, from what it is known to hold and what was done before. */
import { FleetsieError } from '../../errors.ts'
import type { ByteRange } from '../byte-ranges.ts'
import { type Cell, cellsOf, overlap } from './cells.ts'
import { Heads } from './heads.ts'
import { type CellRecord, Journal, workOf } from './journal.ts'
import type { Card, DiskImage, Held } from './types.ts'

export interface CardPlan {
  cells: ReadonlyMap<number, Cell>
  heads: Heads
  journal: Journal
  /** What is known of cells, to be added to. Cells of which nothing is known have to be looked at. */
  records: Map<number, CellRecord>
  /** An interrupted write is gone on with: the heads are invalid. */
  resumed: boolean
}

/** @throws E_UNSAFE where an area is larger than its target, E_IO */
export async function planCard(card: Card, image: DiskImage): Promise<CardPlan> {
  for (const area of card.areas) expectRoom(area, image)
  const cells = cellsOf(card.areas, image.mapped, image.table, image.size)
  const work = workOf([
    image.sha256,
    image.size,
    card.full,
    card.areas.map(({ image: { offset, length }, target }) => [offset, length, target.size]),
    image.mapped.map(({ offset, length }) => [offset, length]),
  ])
  let journal = await Journal.open(card.journal, work)
  try {
    let heads = new Heads(card.areas, cells, journal.id)
    const resumed = journal.cells.size > 0 && (await marked(heads, card))
    if (!resumed && journal.cells.size > 0) {
      // Somebody else wrote to the card since.
      await journal.close()
      journal = await Journal.anew(card.journal, work)
      heads = new Heads(card.areas, cells, journal.id)
    }
    const records = new Map(resumed ? journal.cells : [])
    const plan = { cells: new Map(cells.map((cell) => [cell.chunk, cell])), heads, journal, records, resumed }
    if (card.held && !card.full && image.chunks) await believe(plan, card.held, image.chunks)
    return plan
  } catch (error) {
    await journal.close()
    throw error
  }
}

/** Whether the card is known to hold what the image has there. */
export function isHeld(held: Held, cell: Cell, digest: string | null): boolean {
  if (held.chunks[cell.chunk] !== digest) return false
  if (!held.covers) return true
  let covered = 0
  for (const { length } of overlap(cell.parts, around(held.covers, cell))) covered += length
  return covered === cell.length
}

async function believe(plan: CardPlan, held: Held, chunks: readonly (string | null)[]): Promise<void> {
  const lines: [number, string | null][] = []
  for (const cell of plan.cells.values()) {
    const digest = chunks[cell.chunk]!
    if (plan.records.has(cell.chunk) || !isHeld(held, cell, digest)) continue
    plan.records.set(cell.chunk, { state: 'same', digest })
    lines.push([cell.chunk, digest])
  }
  await plan.journal.add('same', lines)
}

/** The ranges in which a cell can lie: of an ascending list, by halving. */
function around(covers: readonly ByteRange[], { parts }: Cell): ByteRange[] {
  const start = parts[0]!.offset
  const last = parts.at(-1)!
  const end = last.offset + last.length
  let low = 0
  let high = covers.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const { offset, length } = covers[middle]!
    if (offset + length <= start) low = middle + 1
    else high = middle
  }
  const found: ByteRange[] = []
  for (let i = low; i < covers.length && covers[i]!.offset < end; i++) found.push(covers[i]!)
  return found
}

async function marked(heads: Heads, { areas }: Card): Promise<boolean> {
  for (const area of areas.keys()) if (!(await heads.isMarked(area))) return false
  return true
}

function expectRoom({ image, target }: Card['areas'][number], { name }: DiskImage): void {
  if (target.readOnly) throw new FleetsieError('E_UNSAFE', `${target.path} is open only for reading`)
  if (image.length <= target.size) return
  throw new FleetsieError(
    'E_UNSAFE',
    `${target.path} has ${target.size} bytes, and what goes there from ${name} has ${image.length}`,
    { hint: 'use a larger card, or a smaller image' },
  )
}
