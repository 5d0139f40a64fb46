/** What is remembered for `explain` and for deploy stages. */
import type { Manifest } from '../manifest.ts'
import type { Deployed, Digest, Key } from '../stage.ts'
import { recordManifest } from './objects.ts'
import type { Parts } from './parts.ts'
import type { Deployment, RecordedRun, Root, Tombstone } from './types.ts'

/** Runs kept for each stage of each target. */
const keptRuns = 20

const hour = 60 * 60 * 1000
const day = 24 * hour

/** What the key was made of; undefined when it is not remembered. */
export function findManifest({ sql }: Parts, key: Key): Manifest | undefined {
  const row = sql.get<{ json: string }>('SELECT json FROM manifests WHERE key = ?', key)
  return row && (JSON.parse(row.json) as Manifest)
}

/** Remembers that a build asked for the key, and that its result was used. The last run again only gets a new time. */
export function recordRun(parts: Parts, target: string, stage: string, key: Key, manifest: Manifest): void {
  const { sql } = parts
  const now = Date.now()
  if (isRecorded(parts, target, stage, key, now)) return
  sql.transaction(() => {
    recordManifest(parts, { key, manifest })
    // A result that is only looked up takes no lease. Its age matters by the day: most runs write nothing here.
    sql.run(
      'UPDATE objects SET last_used = ? WHERE digest = (SELECT digest FROM traces WHERE key = ?) AND last_used < ?',
      ...[now, key, now - day],
    )
    const last = sql.get<{ id: number; key: Key }>(
      'SELECT id, key FROM runs WHERE target = ? AND stage = ? ORDER BY id DESC LIMIT 1',
      target,
      stage,
    )
    // Builds with nothing to do must not push out the runs that tell a difference.
    if (last?.key === key) {
      sql.run('UPDATE runs SET at = ? WHERE id = ?', now, last.id)
      return
    }
    sql.run('INSERT INTO runs (target, stage, key, at) VALUES (?, ?, ?, ?)', target, stage, key, now)
    sql.run(
      `DELETE FROM runs WHERE target = ? AND stage = ? AND id NOT IN
       (SELECT id FROM runs WHERE target = ? AND stage = ? ORDER BY id DESC LIMIT ${keptRuns})`,
      ...[target, stage, target, stage],
    )
  })
}

/** Whether there is nothing to write but a time. The first write of a process makes the disk sync, and so does its end. */
function isRecorded({ sql }: Parts, target: string, stage: string, key: Key, now: number): boolean {
  const found = sql.get(
    `SELECT 1 FROM (SELECT key, at FROM runs WHERE target = ? AND stage = ? ORDER BY id DESC LIMIT 1) r
     WHERE r.key = ? AND r.at > ? AND NOT EXISTS
     (SELECT 1 FROM traces t JOIN objects o ON o.digest = t.digest WHERE t.key = r.key AND o.last_used < ?)`,
    ...[target, stage, key, now - hour, now - day],
  )
  return found !== undefined
}

/** The last runs of a stage that differ, the newest first. */
export function findRuns({ sql }: Parts, target: string, stage: string, limit = keptRuns): RecordedRun[] {
  return sql
    .all<{ key: Key; at: number; json: string }>(
      `SELECT r.key, r.at, m.json FROM runs r JOIN manifests m ON m.key = r.key
       WHERE r.target = ? AND r.stage = ? ORDER BY r.id DESC LIMIT ?`,
      target,
      stage,
      limit,
    )
    .map(({ key, at, json }) => ({ key, at, manifest: JSON.parse(json) as Manifest }))
}

/** Why the result of the key is gone. */
export function findTombstone({ sql }: Parts, key: Key): Tombstone | undefined {
  return sql.get<Tombstone>('SELECT reason, bytes, at FROM tombstones WHERE key = ?', key)
}

/** What a deploy stage applied last. */
export function findDeployment({ sql }: Parts, id: string): Deployment | undefined {
  const row = sql.get<{ key: Key; files: string }>('SELECT key, files FROM deployments WHERE id = ?', id)
  return row && { key: row.key, files: JSON.parse(row.files) as Deployed[] }
}

/** Remembers what a deploy stage applied, in place of what was there; `files` are those that it left. */
export function recordDeployment({ sql }: Parts, id: string, key: Key, files: readonly Deployed[]): void {
  sql.run(
    'INSERT OR REPLACE INTO deployments (id, key, files, at) VALUES (?, ?, ?, ?)',
    id,
    key,
    JSON.stringify(files),
    Date.now(),
  )
}

/** Keeps these objects from gc, in place of those that the name kept; `folder` is where its project is. */
export function setRoot({ sql }: Parts, name: string, digests: readonly Digest[], folder: string): void {
  sql.transaction(() => {
    sql.run('DELETE FROM roots WHERE name = ?', name)
    for (const digest of new Set(digests)) {
      sql.run('INSERT INTO roots (name, digest, folder) VALUES (?, ?, ?)', name, digest, folder)
    }
  })
}

/** All roots, by name. */
export function findRoots({ sql }: Parts): Root[] {
  const roots = new Map<string, Root>()
  const rows = sql.all<{ name: string; digest: Digest; folder: string }>(
    'SELECT * FROM roots ORDER BY name, digest',
  )
  for (const { name, digest, folder } of rows) {
    const root = roots.get(name) ?? { name, digests: [], folder }
    root.digests.push(digest)
    roots.set(name, root)
  }
  return [...roots.values()]
}

/** Whether there was such a root. */
export function removeRoot({ sql }: Parts, name: string): boolean {
  return sql.run('DELETE FROM roots WHERE name = ?', name) > 0
}
