/**
 * What an object holds, as one canonical text; its sha256 is the object's digest.
 *
 * {"entries":[...],"format":1} as JSON.stringify writes it, without whitespace, entries sorted by the bytes of their
 * paths, the names of each entry in alphabetical order:
 *   {"path":"a","type":"directory"}   {"path":"a/b","target":"../c","type":"symlink"}
 *   {"executable":false,"path":"c","sha256":"...","size":3,"type":"file"}, with "chunks" in place of "sha256"
 *   where the stage declared that (see FileDigest).
 */
import { createHash } from 'node:crypto'
import type { BigIntStats } from 'node:fs'
import { lstat, readdir, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import type { Digest, FileDigest } from '../stage.ts'

export type ListingEntry =
  | ({ type: 'file'; path: string; executable: boolean; size: number } & FileDigest)
  | { type: 'directory'; path: string }
  | { type: 'symlink'; path: string; target: string }

export interface Listing {
  format: 1
  entries: ListingEntry[]
}

export function makeListing(entries: readonly ListingEntry[]): Listing {
  return { entries: entries.map(inOrder).sort(byPath), format: 1 }
}

export function digestOf(listing: Listing): Digest {
  return createHash('sha256').update(JSON.stringify(listing)).digest('hex') as Digest
}

function inOrder(entry: ListingEntry): ListingEntry {
  switch (entry.type) {
    case 'directory':
      return { path: entry.path, type: entry.type }
    case 'symlink':
      return { path: entry.path, target: entry.target, type: entry.type }
    case 'file': {
      const { executable, path, size, type } = entry
      return 'chunks' in entry
        ? { chunks: entry.chunks, executable, path, size, type }
        : { executable, path, sha256: entry.sha256, size, type }
    }
  }
}

function byPath(a: ListingEntry, b: ListingEntry): number {
  return Buffer.compare(Buffer.from(a.path), Buffer.from(b.path))
}

/** Something found in a folder that is to become, or is, an object. */
export type Found =
  | { type: 'file'; path: string; stat: BigIntStats; executable: boolean }
  | { type: 'directory'; path: string }
  | { type: 'symlink'; path: string; target: string }

const maxEntries = 500_000

/**
 * All below `folder`, parents before their children. `enter` is called with each folder's path on the disk before
 * it is read. Fails with E_STAGE for what an object cannot hold.
 */
export async function scan(
  folder: string,
  enter: (path: string) => Promise<void> = async () => {},
): Promise<Found[]> {
  const found: Found[] = []
  const visit = async (relative: string): Promise<void> => {
    const here = join(folder, relative)
    await enter(here)
    for (const raw of await readdir(here, { encoding: 'buffer' })) {
      const name = raw.toString()
      const path = relative === '' ? name : `${relative}/${name}`
      if (!Buffer.from(name).equals(raw)) throw unfit(folder, `the name ${JSON.stringify(path)} is not UTF-8`)
      if (found.length >= maxEntries) throw unfit(folder, `more than ${maxEntries} files`)
      const stat = await lstat(join(folder, path), { bigint: true })
      if (stat.isDirectory()) {
        found.push({ type: 'directory', path })
        await visit(path)
      } else if (stat.isFile()) {
        found.push({ type: 'file', path, stat, executable: (stat.mode & 0o100n) !== 0n })
      } else if (stat.isSymbolicLink()) {
        found.push({ type: 'symlink', path, target: await readlink(join(folder, path)) })
      } else {
        throw unfit(folder, `${JSON.stringify(path)} is neither a file, a folder nor a symlink`)
      }
    }
  }
  await visit('')
  return found
}

function unfit(folder: string, why: string): FleetsieError {
  return new FleetsieError('E_STAGE', `the output cannot become an object: ${why}`, { file: folder })
}
