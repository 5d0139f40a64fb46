/** Clears away what dead processes left: leases, stage folders, and rows and folders without their other half. */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Digest } from '../stage.ts'
import { tracePoint } from '../trace.ts'
import { evict, moveAside } from './evict.ts'
import { tryFileLock } from './file-lock.ts'
import type { Parts } from './parts.ts'
import { leaseFile, ownerOf } from './presence.ts'
import { removeTree } from './remove.ts'

/** A few directory reads when nobody died. When somebody did, rows and folders are compared as well. */
export async function sweepAtOpen(parts: Parts): Promise<void> {
  if (!(await sweepDead(parts))) return
  await sweepHalves(parts)
  const { sweepCarried } = await import('./carried.ts')
  await sweepCarried(parts)
}

/** Answers whether a process died here without closing the store. */
export async function sweepDead(parts: Parts): Promise<boolean> {
  const { layout, sql, presence } = parts
  // Folders and rows are listed before leases: who makes them has its lease file by then.
  const stageFolders = readdirSync(layout.stage)
  const named = sql.all<{ process: string }>('SELECT process FROM leases UNION SELECT process FROM holders')
  const known = new Set([presence.id])
  let died = false
  for (const name of readdirSync(layout.leases)) {
    const id = ownerOf(name)
    if (id === undefined || known.has(id)) continue
    const lock = tryFileLock(parts.sqlite, layout, leaseFile(layout, id))
    known.add(id)
    if (!lock) continue
    died = true
    tracePoint('sweep.dead')
    try {
      forget(parts, id)
      for (const folder of stageFolders)
        if (ownerOf(folder) === id) await clear(parts, join(layout.stage, folder))
    } finally {
      lock.release()
    }
  }
  for (const { process } of named) if (!known.has(process)) forget(parts, process)
  for (const folder of stageFolders) {
    const owner = ownerOf(folder)
    if (owner !== undefined && known.has(owner)) continue
    died = true
    await clear(parts, join(layout.stage, folder))
  }
  sweepLocks(parts)
  return died
}

/** Before this process leaves: its stage folders. */
export async function sweepOwn(parts: Parts): Promise<void> {
  const { layout, presence } = parts
  for (const folder of readdirSync(layout.stage)) {
    if (ownerOf(folder) === presence.id) await clear(parts, join(layout.stage, folder))
  }
}

/** Rows without folder are dropped, folders without row removed. */
export async function sweepHalves(parts: Parts): Promise<void> {
  const { sql, layout, presence } = parts
  for (const { digest } of missingFolders(parts)) evict(parts, digest, 'lost', { force: true })
  for (const folder of orphans(parts)) {
    const aside = presence.stageFolder()
    sql.transaction(() => {
      // A publisher may be between its rename and its commit: in here it is not.
      if (sql.get('SELECT 1 FROM objects WHERE folder = ?', folder)) return
      moveAside(join(layout.objects, folder), aside)
    })
    tracePoint('sweep.orphan')
    await clear(parts, aside)
  }
}

export function missingFolders({ sql, layout }: Parts): { digest: Digest; folder: string }[] {
  return sql
    .all<{ digest: Digest; folder: string }>('SELECT digest, folder FROM objects')
    .filter(({ folder }) => !existsSync(join(layout.objects, folder, 'out')))
}

/** What lies below objects/ and has no row, relative to it. A publisher may be about to write the row. */
export function orphans({ sql, layout }: Parts): string[] {
  const found: string[] = []
  for (const name of readdirSync(layout.objects)) {
    if (!statSync(join(layout.objects, name), { throwIfNoEntry: false })?.isDirectory()) {
      found.push(name)
      continue
    }
    for (const entry of readdirSync(join(layout.objects, name))) {
      const folder = join(name, entry)
      if (!sql.get('SELECT 1 FROM objects WHERE folder = ?', folder)) found.push(folder)
    }
  }
  return found
}

function forget({ sql }: Parts, process: string): void {
  sql.transaction(() => {
    sql.run('DELETE FROM leases WHERE process = ?', process)
    sql.run('DELETE FROM holders WHERE process = ?', process)
  })
}

// A lock file that nobody holds is left from a dead process; taking it and letting go removes it.
function sweepLocks({ sqlite, layout }: Parts): void {
  for (const name of readdirSync(layout.locks)) {
    if (name.endsWith('.db')) tryFileLock(sqlite, layout, join(layout.locks, name))?.release()
  }
}

async function clear({ emit }: Parts, folder: string): Promise<void> {
  try {
    await removeTree(folder)
  } catch (error) {
    // What root left under sudo stays until root comes again; no reason to refuse a build.
    const why = error instanceof Error ? error.message : String(error)
    emit({ type: 'warning', message: `a leftover could not be removed: ${why}` })
  }
}
