/** When the stages of a target ran: what a timeline is drawn from. */
import type { Parts } from './parts.ts'
import type { RecordedBuild, RecordedStage } from './types.ts'

/** Builds kept for each target. */
const keptBuilds = 50

const hour = 60 * 60 * 1000

/**
 * A build in which nothing ran is recorded once an hour: the first write of a process makes the disk sync, and such
 * builds would push out those that did something.
 */
export function recordBuild({ sql }: Parts, target: string, { at, ms, stages }: RecordedBuild): void {
  if (stages.every(({ action }) => action === 'cached' || action === 'unchanged')) {
    const last = sql.get<{ at: number }>(
      'SELECT at FROM builds WHERE target = ? ORDER BY id DESC LIMIT 1',
      target,
    )
    if (last && at - last.at < hour) return
  }
  sql.transaction(() => {
    sql.run(
      'INSERT INTO builds (target, at, ms, stages) VALUES (?, ?, ?, ?)',
      ...[target, at, Math.round(ms), JSON.stringify(stages)],
    )
    sql.run(
      `DELETE FROM builds WHERE target = ? AND id NOT IN
       (SELECT id FROM builds WHERE target = ? ORDER BY id DESC LIMIT ${keptBuilds})`,
      ...[target, target],
    )
  })
}

export function findBuilds({ sql }: Parts, target: string): RecordedBuild[] {
  // A store of an older program that is only read has no such table.
  if (!sql.get("SELECT 1 FROM sqlite_master WHERE name = 'builds'")) return []
  return sql
    .all<{ at: number; ms: number; stages: string }>(
      'SELECT at, ms, stages FROM builds WHERE target = ? ORDER BY id DESC',
      target,
    )
    .map(({ at, ms, stages }) => ({ at, ms, stages: JSON.parse(stages) as RecordedStage[] }))
}
