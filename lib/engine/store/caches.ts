/** Carried folders and memo entries as gc sees them. They only make builds quicker, so they go before objects do. */
import { lstatSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { carriedIds, dropCarried, lockPrefix, namesIn } from './carried.ts'
import { memoPath } from './memo.ts'
import type { Parts } from './parts.ts'

export interface Cache {
  kind: 'carried' | 'memo'
  id: string
  /** On the disk. */
  bytes: number
  /** Milliseconds since 1970. */
  lastUsed: number
}

/** All that nobody holds, least recently used first. */
export function listCaches(parts: Parts): Cache[] {
  const held = new Set(parts.sql.all<{ key: string }>('SELECT key FROM holders').map(({ key }) => key))
  const free = carriedIds(parts).filter((id) => !held.has(lockPrefix + id))
  const carried = free.flatMap((id) => measure('carried', id, join(parts.layout.carried, id)))
  const memo = memoIds(parts).flatMap((id) => measure('memo', id, memoPath(parts, id)))
  return [...carried, ...memo].sort((a, b) => a.lastUsed - b.lastUsed || (a.id < b.id ? -1 : 1))
}

/** The names of the memo's entries, in an order of no meaning. */
export function memoIds({ layout }: Parts): string[] {
  return namesIn(layout.memo).flatMap((folder) =>
    namesIn(join(layout.memo, folder)).filter((id) => id.startsWith(folder) && /^[0-9a-f]{64}$/.test(id)),
  )
}

/** Answers whether it went: who holds it meanwhile keeps it. */
export async function dropCache(parts: Parts, { kind, id }: Cache): Promise<boolean> {
  if (kind === 'carried') return dropCarried(parts, id)
  rmSync(memoPath(parts, id), { force: true })
  return true
}

export function sumBytes(items: readonly { bytes: number }[]): number {
  return items.reduce((sum, { bytes }) => sum + bytes, 0)
}

function measure(kind: Cache['kind'], id: string, path: string): Cache[] {
  const lastUsed = lstatSync(path, { throwIfNoEntry: false })?.mtimeMs
  return lastUsed === undefined ? [] : [{ kind, id, bytes: bytesOf(path), lastUsed }]
}

// A process may be removing it meanwhile.
function bytesOf(path: string): number {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (!found?.isDirectory()) return (found?.blocks ?? 0) * 512
  return sumBytes(namesIn(path).map((name) => ({ bytes: bytesOf(join(path, name)) })))
}
