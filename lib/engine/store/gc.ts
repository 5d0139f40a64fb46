/** Decides what the store gives up, and gives it up. */
import { existsSync } from 'node:fs'
import type { Digest } from '../stage.ts'
import { tracePoint } from '../trace.ts'
import { type Cache, dropCache, listCaches, sumBytes } from './caches.ts'
import { sweepCarried } from './carried.ts'
import { evict, unkept } from './evict.ts'
import type { Parts } from './parts.ts'
import { pruneRecords } from './prune.ts'
import { removeTree } from './remove.ts'
import { freeBytes, freeReserve, isDiskFull, reserve } from './space.ts'
import { sweepDead, sweepHalves } from './sweep.ts'
import type { Eviction, EvictionReason, GcOptions, GcReport } from './types.ts'

/** What one attempt to go on after a full disk frees at least. */
const leastRoom = 64 * 1024 * 1024

/** How long carried folders and memo entries stay unused. */
const cacheAge = 7 * 24 * 60 * 60 * 1000

interface Candidate {
  digest: Digest
  name: string
  bytes: number
  last_used: number
}

/** When it is aborted, it stops before the next object and answers what it has evicted so far. */
export async function collectGarbage(
  parts: Parts,
  options: GcOptions,
  signal?: AbortSignal,
): Promise<GcReport> {
  if (options.dryRun) {
    const { caches, objects } = choose(parts, options)
    return report(parts, objects, caches)
  }
  freeReserve(parts.layout)
  await sweepDead(parts)
  await sweepHalves(parts)
  await sweepCarried(parts)
  dropStaleRoots(parts)
  const evicted: Eviction[] = []
  const chosen = choose(parts, options)
  const dropped = await dropCaches(parts, chosen.caches, 'unused', () => signal?.aborted ?? false)
  for (const eviction of chosen.objects) {
    if (signal?.aborted) break
    if (await drop(parts, eviction)) evicted.push(eviction)
  }
  if (!signal?.aborted) await pruneRecords(parts)
  parts.sql.pragma('wal_checkpoint(TRUNCATE)')
  reserve(parts.layout)
  return report(parts, evicted, dropped)
}

/** When less than `minFree` is left, evicts until twice that is free, so that the next output has room as well. */
export async function autoGc(parts: Parts): Promise<GcReport | undefined> {
  const { minFree, layout } = parts
  if (minFree === 0 || freeBytes(layout.folder) >= minFree) return undefined
  return makeRoom(parts, 2 * minFree)
}

/** Does `work` again when the disk was full and something could be evicted. */
export async function makeRoomFor<T>(parts: Parts, work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (!isDiskFull(error)) throw error
      const enough = Math.max(2 * parts.minFree, 2 * freeBytes(parts.layout.folder), leastRoom)
      const { evicted, caches } = await makeRoom(parts, enough)
      if (evicted.length + caches.dropped === 0) throw error
    }
  }
}

/** Evicts the least recently used until `enough` bytes are free. Answers what went. */
async function makeRoom(parts: Parts, enough: number): Promise<GcReport> {
  freeReserve(parts.layout)
  await sweepDead(parts)
  await sweepCarried(parts)
  const roomy = (): boolean => freeBytes(parts.layout.folder) >= enough
  const evicted: Eviction[] = []
  const dropped = await dropCaches(parts, listCaches(parts), 'disk-full', roomy)
  for (const candidate of candidates(parts)) {
    if (roomy()) break
    const eviction = evictionOf(candidate, 'disk-full')
    if (await drop(parts, eviction)) evicted.push(eviction)
  }
  reserve(parts.layout)
  return report(parts, evicted, dropped)
}

function choose(parts: Parts, options: GcOptions): { caches: Cache[]; objects: Eviction[] } {
  const { maxSize, maxAge, keepLast } = options
  const unlimited = maxSize === undefined && maxAge === undefined && keepLast === undefined
  const youngest = maxAge === undefined ? Number.POSITIVE_INFINITY : Date.now() - maxAge
  const last = keepLast === undefined ? new Set<Digest>() : lastResults(parts, keepLast)
  const reason = unlimited ? 'unrooted' : maxAge !== undefined ? 'max-age' : 'keep-last'
  const chosen: Eviction[] = []
  const rest: Candidate[] = []
  for (const candidate of candidates(parts)) {
    const kept = candidate.last_used > youngest || last.has(candidate.digest)
    const limited = unlimited || maxAge !== undefined || keepLast !== undefined
    if (limited && !kept) chosen.push(evictionOf(candidate, reason))
    else rest.push(candidate)
  }
  const caches = listCaches(parts)
  const longUnused = Date.now() - (maxAge ?? (maxSize === undefined ? cacheAge : Number.POSITIVE_INFINITY))
  let spare = caches.filter(({ lastUsed }) => lastUsed <= longUnused).length
  if (maxSize !== undefined) {
    let total = sumAll(parts).bytes - sumBytes(chosen) + sumBytes(caches.slice(spare))
    for (; total > maxSize && spare < caches.length; spare++) total -= caches[spare]!.bytes
    for (const candidate of rest) {
      if (total <= maxSize) break
      total -= candidate.bytes
      chosen.push(evictionOf(candidate, 'max-size'))
    }
  }
  return { caches: caches.slice(0, spare), objects: chosen }
}

/** Least recently used first. The transaction that evicts one asks again whether it may. */
function candidates({ sql }: Parts): Candidate[] {
  return sql.all<Candidate>(
    `SELECT digest, name, bytes, last_used FROM objects o WHERE ${unkept('o.digest')} ORDER BY last_used, digest`,
  )
}

// A key that came back counts once, by its latest run.
function lastResults({ sql }: Parts, keepLast: number): Set<Digest> {
  const rows = sql.all<{ digest: Digest }>(
    `SELECT t.digest FROM traces t JOIN (
       SELECT key, row_number() OVER (PARTITION BY target, stage ORDER BY max(id) DESC) AS place
       FROM runs GROUP BY target, stage, key
     ) r ON r.key = t.key WHERE r.place <= ?`,
    keepLast,
  )
  return new Set(rows.map(({ digest }) => digest))
}

async function drop(parts: Parts, { digest, bytes, reason }: Eviction): Promise<boolean> {
  const aside = evict(parts, digest, reason)
  if (aside === undefined) return false
  await removeTree(aside)
  tracePoint('gc.deleted')
  parts.emit({ type: 'evicted', object: digest, bytes, reason })
  return true
}

/** Drops these until `enough` says so. Answers those that went. */
async function dropCaches(
  parts: Parts,
  caches: readonly Cache[],
  reason: string,
  enough: () => boolean,
): Promise<Cache[]> {
  const dropped: Cache[] = []
  for (const cache of caches) {
    if (enough()) break
    if (await dropCache(parts, cache)) dropped.push(cache)
  }
  if (dropped.length > 0) {
    const object = `${dropped.length} cache entries`
    parts.emit({ type: 'evicted', object, bytes: sumBytes(dropped), reason })
  }
  return dropped
}

// Whoever deletes the folder of a pipeline needs its results no longer.
function dropStaleRoots({ sql }: Parts): void {
  for (const { folder } of sql.all<{ folder: string }>('SELECT DISTINCT folder FROM roots')) {
    if (!existsSync(folder)) sql.run('DELETE FROM roots WHERE folder = ?', folder)
  }
}

function evictionOf({ digest, name, bytes, last_used }: Candidate, reason: EvictionReason): Eviction {
  return { digest, name, bytes, reason, lastUsed: last_used }
}

function sumAll({ sql }: Parts): { objects: number; bytes: number } {
  return sql.get<{ objects: number; bytes: number }>(
    'SELECT count(*) AS objects, coalesce(sum(bytes), 0) AS bytes FROM objects',
  ) as { objects: number; bytes: number }
}

function report(parts: Parts, evicted: readonly Eviction[], dropped: readonly Cache[]): GcReport {
  const { sql } = parts
  const count = (table: 'roots' | 'leases'): number =>
    sql.get<{ n: number }>(`SELECT count(*) AS n FROM objects WHERE digest IN (SELECT digest FROM ${table})`)
      ?.n ?? 0
  // After a dry run, what would go is still there.
  const all = sumAll(parts)
  const gone = evicted.filter(({ digest }) => sql.get('SELECT 1 FROM objects WHERE digest = ?', digest))
  const ids = new Set(dropped.map(({ id }) => id))
  const left = listCaches(parts).filter(({ id }) => !ids.has(id))
  return {
    evicted: [...evicted],
    bytes: sumBytes(evicted) + sumBytes(dropped),
    caches: { dropped: dropped.length, kept: left.length, keptBytes: sumBytes(left) },
    kept: {
      objects: all.objects - gone.length,
      bytes: all.bytes - sumBytes(gone),
      rooted: count('roots'),
      inUse: count('leases'),
    },
  }
}
