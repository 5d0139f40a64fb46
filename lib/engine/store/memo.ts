/**
 * Small results that stages keep by key: memo/xx/<sha256 of the key>, each a magic, a sum and the content. Nothing is
 * synced: the sum tells what a power cut, a full disk or a bad disk left. sha256 is the quickest of the sums that
 * rule out a mistake: 1.8 GB/s here, against 1.0 of blake2b.
 */
import { createHash } from 'node:crypto'
import {
  closeSync,
  fstatSync,
  futimesSync,
  openSync,
  read,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import type { Memo } from '../stage.ts'
import { tracePoint } from '../trace.ts'
import type { Parts } from './parts.ts'
import { writing } from './writing.ts'

const magic = Buffer.from('FLSMEMO1')
const header = magic.length + 32
const largest = 64 * 1024 * 1024
/** Bytes from which reading is left to the thread pool: below, asking it takes longer. */
const background = 256 * 1024
/** Bytes: what an edit of an image of 1.7 GB reads again is 31 MB. */
const mostHeld = 48 * 1024 * 1024
const hour = 60 * 60 * 1000

/** A memo over the store. Of damaged entries it tells once. `held` is the same for all memos of a process. */
export function openMemo(parts: Parts, held: Held): Memo {
  let told = false
  const warn = (path: string): void => {
    if (told) return
    told = true
    const message = `a result kept in ${path} was damaged; it is dropped and made again`
    parts.emit({ type: 'warning', message })
  }
  return {
    get: async (key) => {
      const id = idOf(key)
      const known = held.get(id)
      if (known) return known
      const path = memoPath(parts, id)
      const entry = await readEntry(path, id)
      if (entry !== 'damaged') {
        if (entry) held.add(id, entry)
        return entry
      }
      try {
        rmSync(path, { force: true })
      } catch {
        // What is put next takes its place.
      }
      warn(path)
      return undefined
    },
    put: async (key, bytes) => {
      const id = idOf(key)
      held.forget(id)
      if (bytes.length <= largest) await writing(parts.layout, async () => write(parts, id, bytes))
    },
  }
}

/** The large entries read last: a process that watches reads the same ones after each edit. */
export class Held {
  readonly #entries = new Map<string, Buffer>()
  #bytes = 0

  get(id: string): Buffer | undefined {
    const entry = this.#entries.get(id)
    if (entry === undefined) return undefined
    this.#entries.delete(id)
    this.#entries.set(id, entry)
    return entry
  }

  add(id: string, entry: Buffer): void {
    if (entry.length < background || entry.length > mostHeld) return
    this.forget(id)
    this.#entries.set(id, entry)
    this.#bytes += entry.length
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= mostHeld) break
      this.forget(oldest)
    }
  }

  forget(id: string): void {
    this.#bytes -= this.#entries.get(id)?.length ?? 0
    this.#entries.delete(id)
  }
}

export function memoPath({ layout }: Pick<Parts, 'layout'>, id: string): string {
  return join(layout.memo, id.slice(0, 2), id)
}

/** The content of an entry that is whole; undefined when there is none that can be read. Marks it as used. */
export async function readEntry(path: string, id: string): Promise<Buffer | 'damaged' | undefined> {
  let fd: number
  try {
    fd = openSync(path, 'r')
  } catch {
    return undefined
  }
  try {
    const { size, mtimeMs } = fstatSync(fd)
    if (size < header || size > header + largest) return 'damaged'
    const bytes = Buffer.allocUnsafeSlow(size)
    for (let at = 0; at < size; ) {
      const count = size < background ? readSync(fd, bytes, at, size - at, at) : await readMore(fd, bytes, at)
      if (count === 0) return 'damaged'
      at += count
    }
    const content = bytes.subarray(header)
    const whole =
      magic.equals(bytes.subarray(0, magic.length)) &&
      sumOf(id, content).equals(bytes.subarray(magic.length, header))
    if (!whole) return 'damaged'
    touch(fd, mtimeMs)
    return content
  } catch {
    // A disk that cannot read it has damaged it.
    return 'damaged'
  } finally {
    closeSync(fd)
  }
}

const readAsync = promisify(read)

async function readMore(fd: number, bytes: Buffer, at: number): Promise<number> {
  return (await readAsync(fd, bytes, at, bytes.length - at, at)).bytesRead
}

// For gc, which need not know more exactly. Who only reads somebody else's store may not.
function touch(fd: number, mtimeMs: number): void {
  const now = Date.now()
  if (now - mtimeMs < hour) return
  try {
    futimesSync(fd, now / 1000, now / 1000)
  } catch {}
}

function write(parts: Parts, id: string, bytes: Uint8Array): void {
  const { layout, presence } = parts
  const path = memoPath(parts, id)
  // Below stage/, where the next process finds what a dead one left.
  const temporary = presence.stageFolder()
  try {
    const fd = openSync(temporary, 'wx', 0o644)
    try {
      writeFileSync(fd, Buffer.concat([magic, sumOf(id, bytes)]))
      writeFileSync(fd, bytes)
    } finally {
      closeSync(fd)
    }
    layout.own(temporary)
    layout.makeFolder(dirname(path))
    tracePoint('memo.written')
    renameSync(temporary, path)
    tracePoint('memo.kept')
  } catch (error) {
    rmSync(temporary, { force: true })
    const code = String((error as NodeJS.ErrnoException).code)
    if (!['ENOSPC', 'EDQUOT', 'EROFS'].includes(code)) throw error
  }
}

function idOf(key: string): string {
  return createHash('sha256').update(key).digest('hex')
}

// With the name, so that an entry in another's place is no entry.
function sumOf(id: string, content: Uint8Array): Buffer {
  return createHash('sha256').update(id).update(content).digest()
}
