/** Finding finished objects and keeping them from gc while this process lives. */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import type { Digest, Key } from '../stage.ts'
import { evict } from './evict.ts'
import type { Parts } from './parts.ts'
import type { StoredObject, Trace } from './types.ts'

interface Row {
  digest: Digest
  name: string
  folder: string
  bytes: number
}

export class Objects {
  readonly #parts: Parts
  /** Leased by this process, so that the second look costs no write. */
  readonly #leased = new Set<Digest>()

  constructor(parts: Parts) {
    this.#parts = parts
  }

  byKey(key: Key): StoredObject | undefined {
    return this.#take('SELECT o.* FROM traces t JOIN objects o ON o.digest = t.digest WHERE t.key = ?', key)
  }

  /** What the key led to, whether or not the object is still here. */
  trace(key: Key): Digest | undefined {
    return this.#parts.sql.get<{ digest: Digest }>('SELECT digest FROM traces WHERE key = ?', key)?.digest
  }

  byDefinition(key: Key): StoredObject | undefined {
    return this.#take(
      'SELECT o.* FROM definitions d JOIN objects o ON o.digest = d.digest WHERE d.definition_key = ?',
      key,
    )
  }

  byDigest(digest: Digest): StoredObject | undefined {
    return this.#take('SELECT * FROM objects WHERE digest = ?', digest)
  }

  /** Within the caller's transaction or one of its own. False: gc was faster. */
  lease(digest: Digest): boolean {
    const { sql, presence } = this.#parts
    presence.ensure()
    const leased = sql.transaction(() => {
      if (sql.run('UPDATE objects SET last_used = ? WHERE digest = ?', Date.now(), digest) === 0) return false
      sql.run('INSERT OR IGNORE INTO leases (process, digest) VALUES (?, ?)', presence.id, digest)
      return true
    })
    if (leased) this.#leased.add(digest)
    return leased
  }

  release(): void {
    const { sql, presence, readOnly } = this.#parts
    if (readOnly || this.#leased.size === 0) return
    this.#leased.clear()
    sql.run('DELETE FROM leases WHERE process = ?', presence.id)
  }

  /** After a transaction that was rolled back. */
  forget(digest: Digest): void {
    this.#leased.delete(digest)
  }

  record(trace: Trace): void {
    this.#leasing(trace.digest, () => recordTrace(this.#parts, trace))
  }

  recordDefinition(definitionKey: Key, digest: Digest): void {
    this.#leasing(digest, () => recordDefinition(this.#parts, definitionKey, digest))
  }

  /** Does `work` in one transaction with the lease of an object that must be here. */
  #leasing(digest: Digest, work: () => void): void {
    const before = this.#leased.has(digest)
    try {
      this.#parts.sql.transaction(() => {
        this.#require(digest)
        work()
      })
    } catch (error) {
      if (!before) this.forget(digest)
      throw error
    }
  }

  #require(digest: Digest): void {
    if (this.lease(digest)) return
    throw new FleetsieError('E_STORE', `object ${digest} is not in the store`, {
      file: this.#parts.layout.folder,
      hint: 'build again',
    })
  }

  #take(query: string, key: string): StoredObject | undefined {
    const { sql, layout, readOnly } = this.#parts
    const row = sql.get<Row>(query, key)
    if (!row) return undefined
    if (!readOnly && !this.#leased.has(row.digest) && !this.lease(row.digest)) return undefined
    const path = join(layout.objects, row.folder, 'out')
    // Leased first, looked at second: from here on nobody takes it away.
    if (statSync(path, { throwIfNoEntry: false })) {
      return { digest: row.digest, name: row.name, path, bytes: row.bytes }
    }
    if (!readOnly) {
      this.#leased.delete(row.digest)
      evict(this.#parts, row.digest, 'lost', { force: true })
    }
    return undefined
  }
}

/** Rows for a result; the object's own row must be there. Part of a transaction. */
export function recordTrace(parts: Parts, trace: Trace): void {
  const { sql } = parts
  const now = Date.now()
  sql.run(
    'INSERT OR REPLACE INTO traces (key, digest, ms, created) VALUES (?, ?, ?, ?)',
    trace.key,
    trace.digest,
    Math.round(trace.ms),
    now,
  )
  sql.run('DELETE FROM tombstones WHERE key = ?', trace.key)
  if (trace.definitionKey !== undefined) {
    recordDefinition(parts, trace.definitionKey, trace.digest)
  }
  recordManifest(parts, trace)
}

function recordDefinition({ sql }: Parts, definitionKey: Key, digest: Digest): void {
  sql.run('INSERT OR REPLACE INTO definitions (definition_key, digest) VALUES (?, ?)', definitionKey, digest)
  sql.run('DELETE FROM tombstones WHERE key = ?', definitionKey)
}

export function recordManifest(parts: Parts, { key, manifest }: Pick<Trace, 'key' | 'manifest'>): void {
  parts.sql.run(
    'INSERT OR IGNORE INTO manifests (key, json, at) VALUES (?, ?, ?)',
    key,
    JSON.stringify(manifest),
    Date.now(),
  )
}
