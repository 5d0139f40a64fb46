/** Compares every object with its listing, every memo entry with its sum, and the database with the disk. */
import type { Stats } from 'node:fs'
import { lstat, open, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Digest } from '../stage.ts'
import { memoIds } from './caches.ts'
import { evict } from './evict.ts'
import { hashLike } from './hash.ts'
import { digestOf, type Found, type Listing, type ListingEntry, scan } from './listing.ts'
import { memoPath, readEntry } from './memo.ts'
import type { Parts } from './parts.ts'
import { removeTree } from './remove.ts'
import { missingFolders, orphans, sweepHalves } from './sweep.ts'
import type { VerifyProblem, VerifyReport } from './types.ts'

const largestMeta = 256 * 1024 * 1024

export async function verifyStore(
  parts: Parts,
  repair: boolean,
  signal?: AbortSignal,
): Promise<VerifyReport> {
  const { sql, layout } = parts
  const problems: VerifyProblem[] = checkDatabase(parts)
  const lost = new Set(missingFolders(parts).map(({ digest }) => digest))
  const rows = sql.all<{ digest: Digest; folder: string; bytes: number }>(
    'SELECT digest, folder, bytes FROM objects ORDER BY digest',
  )
  let objects = 0
  let bytes = 0
  for (const { digest, folder, bytes: size } of rows) {
    signal?.throwIfAborted()
    const path = join(layout.objects, folder)
    const problem = lost.has(digest) ? 'its folder is gone' : await checkObject(path, digest, signal)
    objects += 1
    bytes += size
    if (problem === undefined) continue
    // Evicted while we read it: no damage.
    if (!sql.get('SELECT 1 FROM objects WHERE digest = ?', digest)) continue
    if (repair) await drop(parts, digest, lost.has(digest))
    problems.push({ path, problem, repaired: repair })
  }
  const strays = trueOrphans(parts)
  if (repair && strays.length > 0) await sweepHalves(parts)
  for (const folder of strays) {
    problems.push({
      path: join(layout.objects, folder),
      problem: 'the database does not know it',
      repaired: repair,
    })
  }
  let memoEntries = 0
  for (const id of memoIds(parts)) {
    signal?.throwIfAborted()
    const path = memoPath(parts, id)
    const content = await readEntry(path, id)
    if (content === undefined) continue
    memoEntries += 1
    if (content !== 'damaged') bytes += content.length
    else {
      if (repair) await rm(path, { force: true, recursive: true })
      problems.push({ path, problem: 'has another content', repaired: repair })
    }
  }
  return { objects, memoEntries, bytes, problems, ok: problems.every(({ repaired }) => repaired) }
}

function checkDatabase({ sql, layout }: Parts): VerifyProblem[] {
  const say = (problem: string): VerifyProblem => ({ path: layout.database, problem, repaired: false })
  const lines = sql.all<{ integrity_check: string }>('PRAGMA integrity_check(20)')
  const broken = sql.all<{ table: string; parent: string }>('PRAGMA foreign_key_check')
  return [
    ...lines.filter((line) => line.integrity_check !== 'ok').map((line) => say(line.integrity_check)),
    ...broken.map(({ table, parent }) => say(`a row of ${table} names a row of ${parent} that is not there`)),
  ]
}

// Within a transaction nobody is between the rename and the row.
function trueOrphans(parts: Parts): string[] {
  return parts.readOnly ? orphans(parts) : parts.sql.transaction(() => orphans(parts))
}

async function drop(parts: Parts, digest: Digest, lost: boolean): Promise<void> {
  const aside = evict(parts, digest, lost ? 'lost' : 'damaged', { force: true })
  if (aside !== undefined) await removeTree(aside)
}

/** What is wrong with an object, in words; undefined when nothing is. */
async function checkObject(
  folder: string,
  digest: Digest,
  signal?: AbortSignal,
): Promise<string | undefined> {
  try {
    const listing = await readListing(folder, digest)
    if (typeof listing === 'string') return listing
    const found = new Map((await scan(join(folder, 'out'))).map((item) => [item.path, item]))
    for (const entry of listing.entries) {
      signal?.throwIfAborted()
      const item = found.get(entry.path)
      found.delete(entry.path)
      const problem = item
        ? await checkEntry(join(folder, 'out', entry.path), entry, item, signal)
        : 'is missing'
      if (problem !== undefined) return `${entry.path} ${problem}`
    }
    const [extra] = found.keys()
    return extra === undefined ? undefined : `${extra} does not belong there`
  } catch (error) {
    // What was not read to its end is no damage.
    signal?.throwIfAborted()
    return `cannot be read: ${error instanceof Error ? error.message : String(error)}`
  }
}

async function readListing(folder: string, digest: Digest): Promise<Listing | string> {
  const path = join(folder, 'meta.json')
  const { size } = (await stat(path).catch(() => ({ size: -1 }))) as Pick<Stats, 'size'>
  if (size < 0 || size > largestMeta) return 'meta.json is missing or too large'
  let meta: { listing?: Listing } | null
  try {
    meta = JSON.parse(await readFile(path, 'utf8'))
  } catch {
    return 'meta.json is not JSON'
  }
  const listing = meta?.listing
  // From here on the listing is what was published: the digest says so.
  return listing && digestOf(listing) === digest
    ? listing
    : 'meta.json does not have the digest of the object'
}

async function checkEntry(
  path: string,
  entry: ListingEntry,
  item: Found,
  signal?: AbortSignal,
): Promise<string | undefined> {
  if (entry.type !== item.type) return `is a ${item.type}, not a ${entry.type}`
  if (entry.type === 'symlink') {
    return item.type === 'symlink' && item.target === entry.target ? undefined : 'leads elsewhere'
  }
  if (entry.type !== 'file' || item.type !== 'file') return undefined
  if (item.executable !== entry.executable) return 'has another mode'
  if ((await lstat(path)).size !== entry.size) return `has not ${entry.size} bytes`
  const file = await open(path, 'r')
  try {
    const expected = 'chunks' in entry ? entry.chunks : entry.sha256
    return (await hashLike(file, entry, signal)) === expected ? undefined : 'has another content'
  } finally {
    await file.close()
  }
}
