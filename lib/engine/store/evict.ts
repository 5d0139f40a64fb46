/** Takes one object out of the store: rows and folder together, so that no lookup finds half of it. */
import { chmodSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import type { Digest } from '../stage.ts'
import { tracePoint } from '../trace.ts'
import type { Parts } from './parts.ts'
import type { EvictionReason } from './types.ts'

/**
 * Answers the folder that the caller has to remove, undefined when the object must stay or is gone.
 * Without `force`, roots and the leases of live processes keep it; the dead must have been swept before.
 */
export function evict(
  parts: Parts,
  digest: Digest,
  reason: EvictionReason,
  { force = false } = {},
): string | undefined {
  const { sql, presence } = parts
  const aside = presence.stageFolder()
  const evicted = sql.transaction(() => {
    tracePoint('gc.began')
    // Asked again in here: a lookup may have leased it since the caller chose it.
    const row = sql.get<{ folder: string; bytes: number }>(
      `SELECT folder, bytes FROM objects WHERE digest = ? ${force ? '' : `AND ${unkept('objects.digest')}`}`,
      digest,
    )
    if (!row) return false
    const now = Date.now()
    sql.run(
      `INSERT OR REPLACE INTO tombstones (key, reason, bytes, at)
       SELECT key, ?, ?, ? FROM traces WHERE digest = ?
       UNION SELECT definition_key, ?, ?, ? FROM definitions WHERE digest = ?`,
      ...[reason, row.bytes, now, digest, reason, row.bytes, now, digest],
    )
    sql.run('DELETE FROM objects WHERE digest = ?', digest)
    tracePoint('gc.registered')
    moveAside(join(parts.layout.objects, row.folder), aside)
    tracePoint('gc.renamed')
    return true
  })
  if (!evicted) return undefined
  tracePoint('gc.committed')
  return aside
}

/** SQL: neither a root nor a lease keeps the object whose digest is `column`. */
export function unkept(column: string): string {
  return `NOT EXISTS (SELECT 1 FROM roots r WHERE r.digest = ${column})
    AND NOT EXISTS (SELECT 1 FROM leases l WHERE l.digest = ${column})`
}

/** Moves a folder of objects/ below stage/; no harm when it is gone. */
export function moveAside(folder: string, aside: string): void {
  try {
    // A folder that moves to another parent must be writable: its `..` changes.
    chmodSync(folder, 0o755)
    renameSync(folder, aside)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}
