/**
 * Which row of a CSV each card gets, and which rows are used up. That is kept beside the CSV, in `FILE.used`: a line of JSON for
 * each row that was given out or given back. Several processes may do so at once: lines are appended whole (write(2) with
 * O_APPEND), and the first to name a row has it.
 */
import { randomUUID } from 'node:crypto'
import { open, readFile } from 'node:fs/promises'
import * as v from 'valibot'
import { FleetsieError, inFile } from '../../errors.ts'
import { type Caller, settle } from '../caller.ts'
import type { DeviceRow } from './types.ts'

const line = v.object({
  claim: v.string(),
  row: v.string(),
  /** The card's serial, where it has one of its own. */
  card: v.nullable(v.string()),
  at: v.string(),
  /** The row is free again. */
  back: v.optional(v.boolean()),
})
type Line = v.InferOutput<typeof line>

export interface ClaimedRow {
  row: DeviceRow
  /** The row was given out before, to this card or by name. */
  again: boolean
  /** Nothing was written to the card: the next one may have the row. */
  giveBack(): Promise<void>
}

export interface ClaimRows {
  /** The CSV. */
  file: string
  rows: readonly DeviceRow[]
  /** One row for each: `serial` is the card's own, if it is known. */
  cards: readonly { serial?: string }[]
  /** A row's name, for one card: it may have been used. */
  wanted?: string
  caller?: Caller
}

/**
 * In this order: the row `wanted`; the row whose column `serial` is the card's; the row that this card had before; the
 * first that is unused and has no `serial`. Fails with E_INPUT when there is none, before any is given out.
 */
export async function claimRows({ file, rows, cards, wanted, caller }: ClaimRows): Promise<ClaimedRow[]> {
  const notes = `${file}.used`
  const got: ClaimedRow[] = []
  try {
    for (const { serial } of cards) {
      const taken = new Set(got.map(({ row }) => row.name))
      got.push(await claimOne({ file, notes, rows, serial, wanted, caller, taken }))
    }
    return got
  } catch (error) {
    for (const { giveBack } of got) await giveBack()
    throw error
  }
}

interface ClaimOne extends Pick<ClaimRows, 'file' | 'rows'> {
  notes: string
  serial: string | undefined
  wanted: string | undefined
  caller: Caller | undefined
  taken: ReadonlySet<string>
}

async function claimOne(given: ClaimOne): Promise<ClaimedRow> {
  const { file, notes, rows, serial, wanted, caller, taken } = given
  for (;;) {
    const used = await readUsed(notes)
    const row = choose(given, used)
    if (row === undefined || taken.has(row.name)) {
      const why =
        wanted === undefined ? 'all of its rows are used' : `it has no row ${wanted} for another card`
      throw new FleetsieError(
        'E_INPUT',
        taken.has(row?.name ?? '') ? `two cards are for the row ${row!.name}` : why,
        {
          file,
          hint: `add rows, or name a used one with --row; ${notes} says which row went to which card`,
        },
      )
    }
    const claim = randomUUID()
    const again = used.has(row.name)
    const say = (back: boolean): Promise<void> => {
      const said: Line = { claim, row: row.name, card: serial ?? null, at: new Date().toISOString() }
      return append(notes, back ? { ...said, back } : said, caller)
    }
    await say(false)
    // Another process may have been first.
    if (again || (await readUsed(notes)).get(row.name)?.claim === claim) {
      return { row, again, giveBack: () => (again ? Promise.resolve() : say(true)) }
    }
  }

  function choose({ rows: all }: ClaimOne, used: Map<string, Line>): DeviceRow | undefined {
    if (wanted !== undefined) {
      const row = all.find(({ name }) => name === wanted)
      if (row) return row
      throw new FleetsieError('E_INPUT', `it has no row ${JSON.stringify(wanted)}`, {
        file,
        hint: 'a row is called by its hostname; without that column, by its number from 1',
      })
    }
    const own = serial === undefined ? undefined : rows.find((row) => row.serial === serial)
    if (own) return own
    const before = [...used.values()].find(({ card }) => card !== null && card === serial)
    const had = before && all.find(({ name }) => name === before.row)
    if (had) return had
    return all.find((row) => row.serial === undefined && !used.has(row.name) && !taken.has(row.name))
  }
}

/** Who has each row. */
function readUsed(notes: string): Promise<Map<string, Line>> {
  return inFile(notes, async () => {
    const text = await readFile(notes, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return ''
      throw error
    })
    const used = new Map<string, Line>()
    for (const [index, each] of text.split('\n').entries()) {
      const said = parse(each, index + 1)
      if (!said) continue
      const holder = used.get(said.row)
      if (said.back) {
        if (holder?.claim === said.claim) used.delete(said.row)
      } else if (!holder) used.set(said.row, said)
    }
    return used
  })
}

function parse(text: string, number: number): Line | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // Empty, or cut off by a power failure: who wrote it gave nothing out.
    return undefined
  }
  const said = v.safeParse(line, value)
  if (said.success) return said.output
  throw new FleetsieError('E_DAMAGED', `line ${number} is no note of a used row`, {
    hint: 'take the line out',
  })
}

async function append(notes: string, said: Line, caller: Caller | undefined): Promise<void> {
  const handle = await open(notes, 'a', 0o644)
  try {
    // A line break first: half a line may stand there.
    await handle.write(`\n${JSON.stringify(said)}\n`)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await settle(notes, 0o644, caller)
}
