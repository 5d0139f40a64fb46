/** Facts about files outside the store that are dear to find out: their sha256, and a program's version by that. */
import { type BigIntStats, statSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { resolve } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import { hashFile } from './hash.ts'
import type { Parts } from './parts.ts'

interface Row {
  fingerprint: string
  sha256: string
}

/**
 * A change within one tick of the clock leaves no mark on the times, so a file that changed this shortly before it
 * was hashed is not remembered (git calls such an entry racy). 2 s is the coarsest clock that filesystems have.
 */
const racyMs = 2000
const wholeMs = 1_000_000n

export class Statcache {
  readonly #parts: Parts
  /** Written together: a transaction for each file would cost more than hashing it. */
  readonly #unwritten = new Map<string, Row>()
  #scheduled: NodeJS.Immediate | undefined

  constructor(parts: Parts) {
    this.#parts = parts
  }

  async sha256(file: string): Promise<string> {
    const path = resolve(file)
    const now = fingerprint(look(path))
    const known =
      this.#unwritten.get(path) ??
      this.#parts.sql.get<Row>('SELECT fingerprint, sha256 FROM statcache WHERE path = ?', path)
    if (known?.fingerprint === now) return known.sha256
    const began = Date.now()
    const handle = await open(path, 'r')
    try {
      const before = await handle.stat({ bigint: true })
      const sha256 = await hashFile(handle)
      const after = await handle.stat({ bigint: true })
      const row = { fingerprint: fingerprint(before), sha256 }
      if (row.fingerprint === fingerprint(after) && !isRacy(before, began)) this.#remember(path, row)
      return sha256
    } finally {
      await handle.close()
    }
  }

  /**
   * Takes over the sha256 of a file that is just written, so that nobody reads it again. A change within the same tick of
   * the clock would go unseen: no more than 10 ms where times have fractions, else the file is not remembered.
   */
  remember(file: string, sha256: string): void {
    const path = resolve(file)
    const stat = statSync(path, { bigint: true, throwIfNoEntry: false })
    if (stat?.isFile() && stat.ctimeNs % wholeMs !== 0n) {
      this.#remember(path, { fingerprint: fingerprint(stat), sha256 })
    }
  }

  async toolVersion(sha256: string, ask: () => Promise<string>): Promise<string> {
    const { sql, readOnly } = this.#parts
    const known = sql.get<{ version: string }>('SELECT version FROM tools WHERE sha256 = ?', sha256)
    if (known) return known.version
    const version = await ask()
    if (!readOnly) sql.run('INSERT OR REPLACE INTO tools (sha256, version) VALUES (?, ?)', sha256, version)
    return version
  }

  flush(): void {
    clearImmediate(this.#scheduled)
    this.#scheduled = undefined
    const rows = [...this.#unwritten]
    if (rows.length === 0) return
    const { sql } = this.#parts
    sql.transaction(() => {
      for (const [path, { fingerprint, sha256 }] of rows) {
        sql.run(
          'INSERT OR REPLACE INTO statcache (path, fingerprint, sha256) VALUES (?, ?, ?)',
          path,
          fingerprint,
          sha256,
        )
      }
    })
    this.#unwritten.clear()
  }

  #remember(path: string, row: Row): void {
    if (this.#parts.readOnly) return
    this.#unwritten.set(path, row)
    this.#scheduled ??= setImmediate(() => {
      try {
        this.flush()
      } catch {
        // A cache that cannot be written now is written at close, where an error has somebody to hear it.
        this.#scheduled = undefined
      }
    })
  }
}

function look(path: string): BigIntStats {
  // Synchronous: a trip through the thread pool costs ten times the call.
  const stat = statSync(path, { bigint: true })
  if (stat.isFile()) return stat
  throw new FleetsieError('E_INPUT', 'not a file', { file: path })
}

function fingerprint({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`
}

// ctime counts too: it moves with every change, while a program may set any mtime it likes.
function isRacy({ mtimeMs, ctimeMs }: BigIntStats, began: number): boolean {
  return Math.abs(began - Number(mtimeMs)) < racyMs || Number(ctimeMs) > began - racyMs
}
