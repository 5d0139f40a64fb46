/** A CSV with one device in each row: the header names the values. RFC 4180, and what spreadsheets make of it. */
import { readFile, stat } from 'node:fs/promises'
import { CsvError, type Options, parse } from 'csv-parse/sync'
import { FleetsieError, inFile } from '../../errors.ts'
import { checkGiven, type Given } from './given.ts'
import { type DeviceRow, type ValueName, valueNames } from './types.ts'

const maxBytes = 16 * 1024 * 1024
const maxRows = 100_000
const maxCell = 64 * 1024
const columns: readonly string[] = [...valueNames, 'serial']

/**
 * The devices of `file`; what a row does not say is taken from `common`. A column whose name begins with `#` is passed over.
 * Fails with E_INPUT, with the file, line and column, and without the cell's content.
 */
export function readCsv(file: string, common: Given = new Map()): Promise<DeviceRow[]> {
  return inFile(file, async () => {
    const text = decode(await readBounded(file))
    const [header, ...records] = split(text)
    if (!header) throw new FleetsieError('E_INPUT', 'it is empty', { hint: headerHint })
    const names = checkHeader(header.cells)
    if (records.length === 0) throw new FleetsieError('E_INPUT', 'it has a header and no rows')
    if (records.length > maxRows) {
      throw new FleetsieError('E_INPUT', `it has ${records.length} rows; ${maxRows} is the limit`)
    }
    const rows = records.map(({ line, cells }, index) => toRow(file, index, line, names, cells, common))
    checkApart(rows, records, 'hostname', ({ values }) => values.hostname?.toLowerCase())
    checkApart(rows, records, 'serial', ({ serial }) => serial)
    return rows
  })
}

interface Record {
  /** Where it begins, from 1. */
  line: number
  cells: string[]
}

const headerHint = `its first line names the columns: ${columns.join(', ')}`

async function readBounded(file: string): Promise<Buffer> {
  try {
    const { size } = await stat(file)
    if (size > maxBytes) throw new FleetsieError('E_INPUT', `it has ${size} bytes; ${maxBytes} is the limit`)
    return await readFile(file)
  } catch (cause) {
    if (cause instanceof FleetsieError) throw cause
    throw new FleetsieError('E_INPUT', `cannot be read: ${(cause as NodeJS.ErrnoException).code}`, { cause })
  }
}

function decode(bytes: Buffer): string {
  try {
    // Takes a byte order mark away.
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new FleetsieError('E_INPUT', 'it is not UTF-8', {
      hint: 'save it as "CSV UTF-8"; `iconv -f WINDOWS-1252 -t UTF-8` translates what an older spreadsheet wrote',
    })
  }
}

function split(text: string): Record[] {
  // Where the comma is in numbers, spreadsheets write a semicolon. Only the header can tell: a password may have both.
  const first = text.slice(0, Math.max(text.search(/[\r\n]|$/), 0))
  const delimiter = first.includes(',') ? ',' : first.includes(';') ? ';' : first.includes('\t') ? '\t' : ','
  const options: Options = { delimiter, info: true, skip_empty_lines: true, max_record_size: 8 * maxCell }
  try {
    const found = parse(text, options) as unknown as { record: string[]; info: { lines: number } }[]
    return found.map(({ record, info }) => ({
      cells: record,
      line: info.lines - record.join('').split(/\r\n|\r|\n/).length + 1,
    }))
  } catch (error) {
    // Its own message and fields hold what the cells do.
    if (error instanceof CsvError) throw malformed(error)
    throw error
  }
}

function malformed({ code, lines }: CsvError): FleetsieError {
  const why: { [code: string]: string } = {
    CSV_RECORD_INCONSISTENT_FIELDS_LENGTH: 'it has more or fewer cells than the header',
    CSV_QUOTE_NOT_CLOSED: 'a quote is opened and not closed',
    CSV_INVALID_CLOSING_QUOTE: 'text follows a closing quote; within quotes a quote is doubled',
    INVALID_OPENING_QUOTE: 'a quote within a cell without quotes; put the cell in quotes and double this one',
    CSV_MAX_RECORD_SIZE: 'it is too long',
  }
  return new FleetsieError('E_INPUT', `line ${String(lines)}: ${why[code] ?? `not CSV (${code})`}`)
}

function checkHeader(cells: readonly string[]): string[] {
  const names = cells.map((cell) => cell.trim().toLowerCase())
  for (const [index, name] of names.entries()) {
    if (name.startsWith('#')) continue
    if (!columns.includes(name)) {
      throw new FleetsieError(
        'E_INPUT',
        `line 1: column ${index + 1} (${JSON.stringify(name.slice(0, 40))}) is not known`,
        {
          hint: `${headerHint}; a column whose name begins with # is passed over`,
        },
      )
    }
    if (names.indexOf(name) !== index)
      throw new FleetsieError('E_INPUT', `line 1: two columns are called ${name}`)
  }
  return names
}

function toRow(
  file: string,
  index: number,
  line: number,
  names: readonly string[],
  cells: readonly string[],
  common: Given,
): DeviceRow {
  const given = new Map(common)
  let serial: string | undefined
  for (const [column, name] of names.entries()) {
    const cell = cells[column]!
    if (name.startsWith('#') || cell === '') continue
    if (Buffer.byteLength(cell) > maxCell) {
      throw new FleetsieError('E_INPUT', `line ${line}, ${name}: it is longer than ${maxCell} bytes`)
    }
    if (name === 'serial') serial = cell.trim()
    else given.set(name as ValueName, [Buffer.from(cell)])
  }
  const values = checkGiven(given, `${file}, line ${line}`, (name) => `line ${line}, column ${name}`)
  return { values, name: values.hostname ?? `${index + 1}`, ...(serial && { serial }) }
}

/** Two devices of one name or one card are a mistake that shows only in the field. */
function checkApart(
  rows: readonly DeviceRow[],
  records: readonly Record[],
  column: string,
  key: (row: DeviceRow) => string | undefined,
): void {
  const seen = new Map<string, number>()
  for (const [index, row] of rows.entries()) {
    const value = key(row)
    if (value === undefined) continue
    const { line } = records[index]!
    const before = seen.get(value)
    if (before !== undefined) {
      throw new FleetsieError(
        'E_INPUT',
        `lines ${before} and ${line}, column ${column}: both are ${JSON.stringify(value)}`,
      )
    }
    seen.set(value, line)
  }
}
