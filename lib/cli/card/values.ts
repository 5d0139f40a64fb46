/** The values that the command line and a CSV give to the cards. */
import { FleetsieError } from '../../errors.ts'
import { callerOf } from '../../images/caller.ts'
import type { OpenCard } from '../../images/cards/open.ts'
import type { ClaimedRow } from '../../images/values/claim-rows.ts'
import type { DeviceRow, DeviceValues } from '../../images/values/types.ts'

export interface ValueOptions {
  set?: string[]
  csv?: string
  row?: string
}

/** What was given, checked; which card gets which row is decided later. */
export interface GivenValues {
  /** For each card alike; none where a CSV has the rows. */
  common: DeviceValues | undefined
  csv: { file: string; rows: DeviceRow[]; wanted: string | undefined } | undefined
}

/** Reads all values before anything is looked at: what is wrong with them is told first. */
export async function givenValues(
  { set = [], csv, row }: ValueOptions,
  cards: number,
  warn: (line: string) => void,
): Promise<GivenValues> {
  if (row !== undefined && csv === undefined) throw new FleetsieError('E_USAGE', '--row needs --csv')
  if (set.length === 0 && csv === undefined) return { common: undefined, csv: undefined }
  const { readSets, valuesOfSets } = await import('../../images/values/sets.ts')
  const sets = await readSets(set, { cwd: process.cwd(), stdin: process.stdin })
  sets.warnings.forEach(warn)
  if (csv !== undefined) {
    const { readCsv } = await import('../../images/values/read-csv.ts')
    return { common: undefined, csv: { file: csv, rows: await readCsv(csv, sets.given), wanted: row } }
  }
  const common = valuesOfSets(sets)
  if (cards > 1 && common.hostname !== undefined) {
    throw new FleetsieError('E_USAGE', `--set hostname would give ${cards} devices the same name`, {
      hint: '--csv FILE has a row for each',
    })
  }
  return { common, csv: undefined }
}

/** The row of each card, given out until `giveBack`; nothing where there is no CSV. */
export async function claimFor(
  { csv }: GivenValues,
  cards: readonly Pick<OpenCard, 'infos'>[],
): Promise<ClaimedRow[]> {
  if (!csv) return []
  const caller = callerOf(process.env)
  const { claimRows } = await import('../../images/values/claim-rows.ts')
  return claimRows({
    file: csv.file,
    rows: csv.rows,
    cards: cards.map(({ infos: [info] }) =>
      info?.serialIsUnique && info.serial !== undefined ? { serial: info.serial } : {},
    ),
    ...(csv.wanted === undefined ? {} : { wanted: csv.wanted }),
    ...(caller ? { caller } : {}),
  })
}
