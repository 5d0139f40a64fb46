/** Forgets small facts that nothing asks for any more. Part of gc. */
import { existsSync } from 'node:fs'
import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Parts } from './parts.ts'

const day = 24 * 60 * 60 * 1000
const keptTombstones = 10_000
const logAge = 30 * day

export async function pruneRecords(parts: Parts): Promise<void> {
  const { sql, layout } = parts
  const gone = sql.all<{ path: string }>('SELECT path FROM statcache').filter(({ path }) => !existsSync(path))
  sql.transaction(() => {
    for (const { path } of gone) sql.run('DELETE FROM statcache WHERE path = ?', path)
    sql.run(
      'DELETE FROM tombstones WHERE key NOT IN (SELECT key FROM tombstones ORDER BY at DESC LIMIT ?)',
      keptTombstones,
    )
    sql.run(
      `DELETE FROM manifests WHERE key NOT IN (SELECT key FROM runs) AND key NOT IN (SELECT key FROM traces)
       AND key NOT IN (SELECT key FROM tombstones) AND at < ?`,
      Date.now() - day,
    )
  })
  // The log of a result stays as long as the result; that of a failure for a month.
  for (const name of await readdir(layout.logs)) {
    if (sql.get('SELECT 1 FROM traces WHERE key = ?', name.replace(/\.log$/, ''))) continue
    const path = join(layout.logs, name)
    const mtime = (await stat(path).catch(() => undefined))?.mtimeMs ?? Date.now()
    if (Date.now() - mtime > logAge) await rm(path, { force: true })
  }
}
