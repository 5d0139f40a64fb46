/**
 * How far the write of a card has come: lines that are only added, each after what it says is on the medium. Each has a
 * checksum; from the first damaged one on, nothing counts.
 */
import { createHash, randomBytes } from 'node:crypto'
import { type FileHandle, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { crc32 } from '../../formats/crc32.ts'
import { partName } from '../replace-file.ts'

/** The cells of these chunks: equal before, written but not read back, or read back. */
export type CellState = 'same' | 'written' | 'verified'

export interface CellRecord {
  /** sha256 of the chunk, null for zeros. */
  digest: string | null
  /** sha256 of what was written of it, where that is not all. */
  sum?: string
  state: CellState
}

interface Header {
  journal: 1
  id: string
  /** What is written, and where. */
  work: string
}

export type CellLine = [chunk: number, digest: string | null, sum?: string]

type Line = { state: CellState; cells: CellLine[] }

/** 4 million lines' worth; a card of a TiB has a tenth. */
const maxSize = 512 * 1024 * 1024

export class Journal {
  readonly path: string
  readonly id: string
  /** What earlier calls have left, by chunk. */
  readonly cells: ReadonlyMap<number, CellRecord>
  readonly #file: FileHandle
  #last: Promise<void> = Promise.resolve()

  private constructor(path: string, id: string, cells: Map<number, CellRecord>, file: FileHandle) {
    this.path = path
    this.id = id
    this.cells = cells
    this.#file = file
  }

  /**
   * Goes on with the journal at `path` when it is one of this very `work`; else begins a new one. Where nothing was done
   * yet there is nothing to go on with, and it may be that of another card which is being written in a reader of the same
   * number: their cells must not mix.
   */
  static async open(path: string, work: string): Promise<Journal> {
    const old = await readJournal(path, work)
    if (old && old.cells.size > 0) {
      const file = await open(path, 'r+')
      // What is damaged goes, so that lines can follow.
      await file.truncate(old.length)
      return new Journal(path, old.id, old.cells, await appending(path, file))
    }
    return new Journal(path, ...(await begin(path, work)))
  }

  /** Throws away what was there. */
  static async anew(path: string, work: string): Promise<Journal> {
    return new Journal(path, ...(await begin(path, work)))
  }

  /** To be called after what it says is on the medium. */
  async add(state: CellState, cells: readonly CellLine[]): Promise<void> {
    if (cells.length === 0) return
    // Lines of two calls must not mix.
    this.#last = this.#last.then(() => this.#file.appendFile(lineOf({ state, cells })))
    await this.#last
  }

  /** Keeps it for the next call. */
  async close(): Promise<void> {
    await this.#file.close()
  }

  /** The card is written: nothing is left to go on with. One that another process has put in its place stays. */
  async remove(): Promise<void> {
    const [own, there] = await Promise.all([this.#file.stat(), stat(this.path).catch(() => undefined)])
    if (own.ino === there?.ino && own.dev === there.dev) await rm(this.path, { force: true })
  }
}

/** A name for writing an image of this identity to these places. */
export function workOf(parts: unknown): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
}

async function begin(path: string, work: string): Promise<[string, Map<number, CellRecord>, FileHandle]> {
  const id = randomBytes(16).toString('hex')
  const part = join(dirname(path), partName())
  const file = await open(part, 'ax', 0o600)
  try {
    await file.appendFile(lineOf({ journal: 1, id, work } satisfies Header))
    await file.datasync()
    await rename(part, path)
    return [id, new Map(), file]
  } catch (error) {
    await Promise.all([file.close(), rm(part, { force: true })])
    throw error
  }
}

async function appending(path: string, file: FileHandle): Promise<FileHandle> {
  await file.close()
  return open(path, 'a')
}

function lineOf(value: unknown): string {
  const text = JSON.stringify(value)
  return `${checksum(text)} ${text}\n`
}

function checksum(text: string): string {
  return crc32(Buffer.from(text)).toString(16).padStart(8, '0')
}

async function readJournal(
  path: string,
  work: string,
): Promise<{ id: string; cells: Map<number, CellRecord>; length: number } | undefined> {
  const size = (await stat(path).catch(() => undefined))?.size
  if (size === undefined || size > maxSize) return undefined
  // One that root has left is none for its caller.
  const text = await readFile(path, 'latin1').catch(() => '')
  const cells = new Map<number, CellRecord>()
  let header: Header | undefined
  let length = 0
  for (let next = text.indexOf('\n'); next >= 0; next = text.indexOf('\n', length)) {
    const value = parseLine(text.slice(length, next))
    if (value === undefined) break
    if (header === undefined) {
      header = value as Header
      if (header.journal !== 1 || header.work !== work) return undefined
    } else {
      const { state, cells: records } = value as Line
      for (const [chunk, digest, sum] of records) {
        cells.set(chunk, { state, digest, ...(sum === undefined ? {} : { sum }) })
      }
    }
    length = next + 1
  }
  return header && { id: header.id, cells, length }
}

/** Lines are ASCII. What has its checksum was written by this program. */
function parseLine(line: string): unknown {
  const text = line.slice(9)
  if (line[8] !== ' ' || line.slice(0, 8) !== checksum(text)) return undefined
  return JSON.parse(text)
}
