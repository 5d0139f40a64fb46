/**
 * Makes an output an object. Content is on the disk before any row names it; folder and rows appear in one
 * transaction, alone among all processes; the first writer of a digest wins. Folder and rows are on the disk themselves
 * once the store is closed: a power cut before that costs one result, or leaves one half, which the next sweep clears.
 */
import { chmodSync, renameSync, statSync } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Digest } from '../stage.ts'
import { tracePoint } from '../trace.ts'
import { moveAside } from './evict.ts'
import { digestOf, type Listing } from './listing.ts'
import { type Normalised, normalise, syncAll } from './normalise.ts'
import { type Objects, recordTrace } from './objects.ts'
import type { Parts } from './parts.ts'
import type { Statcache } from './statcache.ts'
import type { PublishRequest, StoredObject } from './types.ts'
import { keepLog, objectFolder } from './workspaces.ts'

/** Bytes from which looking a digest up is less work than hashing. */
const largeSize = 1024 * 1024

/** Repeats in the folder what the database knows; not part of the digest. */
interface ObjectMeta {
  format: 1
  name: string
  digest: Digest
  key: string
  definitionKey: string
  inputs: readonly Digest[]
  listing: Listing
}

export async function publish(
  parts: Parts,
  objects: Objects,
  statcache: Statcache,
  request: PublishRequest,
): Promise<StoredObject> {
  const { layout, sql } = parts
  const source = objectFolder(request.workspace)
  const normalised = await normalise(layout, request.workspace.out, request.declared)
  const digest = digestOf(normalised.listing)
  const meta = await writeMeta(parts, source, digest, request, normalised.listing)
  await syncAll([...normalised.paths, meta, source])
  tracePoint('publish.synced')
  let moved: string | undefined
  let stored: { folder: string; bytes: number }
  try {
    stored = sql.transaction(() => {
      tracePoint('publish.began')
      const target = place(parts, digest, request.name, normalised)
      if (!target.present) {
        moved = join(layout.objects, target.folder)
        moveIn(parts, source, moved)
      }
      tracePoint('publish.renamed')
      register(parts, objects, digest, request)
      tracePoint('publish.registered')
      return target
    }, 'once')
  } catch (error) {
    objects.forget(digest)
    if (moved !== undefined) moveAside(moved, source)
    throw error
  }
  tracePoint('publish.committed')
  if (moved !== undefined) rememberLarge(statcache, join(moved, 'out'), normalised.listing)
  // Published is published, whatever became of the log.
  await keepLog(parts, request.workspace, request.key).catch(() => {})
  tracePoint('publish.logged')
  return { digest, name: request.name, path: join(layout.objects, stored.folder, 'out'), bytes: stored.bytes }
}

/** Who takes a large file out of the store again knows its digest without reading it. */
function rememberLarge(statcache: Statcache, folder: string, { entries }: Listing): void {
  for (const entry of entries) {
    if (entry.type !== 'file' || entry.size < largeSize || !('sha256' in entry)) continue
    statcache.remember(join(folder, entry.path), entry.sha256)
  }
}

async function writeMeta(
  { layout }: Parts,
  folder: string,
  digest: Digest,
  { name, key, definitionKey, inputs }: PublishRequest,
  listing: Listing,
): Promise<string> {
  const meta: ObjectMeta = { format: 1, name, digest, key, definitionKey, inputs, listing }
  const path = join(folder, 'meta.json')
  // A first attempt that met a full disk left a read-only one.
  await rm(path, { force: true })
  const file = await open(path, 'w', 0o644)
  try {
    await file.writeFile(JSON.stringify(meta))
    await file.chmod(0o444)
    await file.utimes(1, 1)
  } finally {
    await file.close()
  }
  layout.own(path)
  return path
}

/** The object's row, made when it is not there, and whether its folder is. Part of the transaction. */
function place(
  { sql, layout }: Parts,
  digest: Digest,
  name: string,
  { bytes }: Normalised,
): { folder: string; bytes: number; present: boolean } {
  const row = sql.get<{ folder: string; bytes: number }>(
    'SELECT folder, bytes FROM objects WHERE digest = ?',
    digest,
  )
  if (row) {
    const present = statSync(join(layout.objects, row.folder, 'out'), { throwIfNoEntry: false }) !== undefined
    return { ...row, present }
  }
  // Another name would reach other places of the disk; the row keeps the real one.
  const safe = name.replace(/[^A-Za-z0-9._-]/g, '_').slice(0, 64)
  const folder = join(digest.slice(0, 2), `${digest}-${safe}`)
  const now = Date.now()
  sql.run(
    'INSERT INTO objects (digest, name, folder, bytes, created, last_used) VALUES (?, ?, ?, ?, ?, ?)',
    ...[digest, name, folder, bytes, now, now],
  )
  return { folder, bytes, present: false }
}

function moveIn({ layout, presence }: Parts, source: string, target: string): void {
  const parent = dirname(target)
  layout.makeFolder(parent)
  try {
    renameSync(source, target)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error
    // No row knows that folder: a power cut came between its rename and its commit.
    moveAside(target, presence.stageFolder())
    renameSync(source, target)
  }
  // Only now: a read-only folder cannot move to another parent.
  chmodSync(target, 0o555)
}

function register(parts: Parts, objects: Objects, digest: Digest, request: PublishRequest): void {
  recordTrace(parts, { ...request, digest })
  for (const input of new Set(request.inputs)) {
    if (input === digest) continue
    parts.sql.run('INSERT OR IGNORE INTO refs (referrer, reference) VALUES (?, ?)', digest, input)
  }
  objects.lease(digest)
}
