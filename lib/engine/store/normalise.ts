/** Makes an output uniform: modes, times and owners, and a listing of all. Then puts it on the disk. */
import { chmod, lutimes, open, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import type { FileDigest } from '../stage.ts'
import { tracePoint } from '../trace.ts'
import { hashFile } from './hash.ts'
import type { Layout } from './layout.ts'
import { type Found, type Listing, type ListingEntry, makeListing, scan } from './listing.ts'

/** Files hashed at the same time. */
const hashedAtOnce = 2
/** What is synced at the same time shares the waiting for the disk. */
const syncedAtOnce = 8
/** Not 0, which some tools take for "unknown". */
const uniformTime = 1

export interface Normalised {
  listing: Listing
  /** On the disk; holes do not count. */
  bytes: number
  /** Files and folders, for `syncAll`. */
  paths: string[]
}

/** Files become 0444 or 0555, folders 0555, times 1. */
export async function normalise(
  layout: Layout,
  folder: string,
  declared: ReadonlyMap<string, FileDigest>,
): Promise<Normalised> {
  const found = await scan(folder, (path) => chmod(path, 0o755))
  refuseUnknown(folder, declared, found)
  refuseForeignLinks(folder, found)
  const entries: ListingEntry[] = new Array(found.length)
  let bytes = 0
  const paths: string[] = []
  await inParallel(found, hashedAtOnce, async (item, index) => {
    const path = join(folder, item.path)
    layout.own(path)
    if (item.type === 'file') {
      paths.push(path)
      const file = await settleFile(path, item, declared.get(item.path))
      entries[index] = file.entry
      bytes += file.bytes
      return
    }
    if (item.type === 'symlink') await lutimes(path, uniformTime, uniformTime)
    entries[index] = item
  })
  tracePoint('publish.normalised')
  // Children first: a folder's time changes with its entries.
  const folders = found.filter((item) => item.type === 'directory').map((item) => join(folder, item.path))
  for (const path of [folder, ...folders].reverse()) {
    await chmod(path, 0o555)
    await utimes(path, uniformTime, uniformTime)
    paths.push(path)
  }
  return { listing: makeListing(entries), bytes, paths }
}

/** Makes the content of files and the names in folders outlive a power cut. */
export async function syncAll(paths: readonly string[]): Promise<void> {
  await inParallel(paths, syncedAtOnce, async (path) => {
    const handle = await open(path, 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  })
}

async function settleFile(
  path: string,
  item: Found & { type: 'file' },
  known: FileDigest | undefined,
): Promise<{ entry: ListingEntry; bytes: number }> {
  await chmod(path, item.executable ? 0o555 : 0o444)
  const file = await open(path, 'r')
  try {
    const digest = known ?? { sha256: await hashFile(file) }
    await file.utimes(uniformTime, uniformTime)
    const { size, blocks } = await file.stat()
    const entry: ListingEntry = {
      type: 'file',
      path: item.path,
      executable: item.executable,
      size,
      ...digest,
    }
    return { entry, bytes: blocks * 512 }
  } finally {
    await file.close()
  }
}

function refuseUnknown(folder: string, declared: ReadonlyMap<string, FileDigest>, found: Found[]): void {
  const files = new Set(found.filter((item) => item.type === 'file').map((item) => item.path))
  for (const name of declared.keys()) {
    if (files.has(name)) continue
    throw new FleetsieError('E_STAGE', `the stage declared a file that it did not make: ${name}`, {
      file: folder,
    })
  }
}

// Its mode and time would change outside the output as well, and its content could change afterwards.
function refuseForeignLinks(folder: string, found: Found[]): void {
  const seen = new Map<string, { path: string; missing: bigint }>()
  for (const item of found) {
    if (item.type !== 'file' || item.stat.nlink === 1n) continue
    const inode = `${item.stat.dev}:${item.stat.ino}`
    const missing = (seen.get(inode)?.missing ?? item.stat.nlink) - 1n
    seen.set(inode, { path: item.path, missing })
  }
  for (const { path, missing } of seen.values()) {
    if (missing === 0n) continue
    throw new FleetsieError(
      'E_STAGE',
      `${path} is a hard link to a file outside the output; copy it instead`,
      {
        file: folder,
      },
    )
  }
}

async function inParallel<T>(
  items: readonly T[],
  atOnce: number,
  work: (item: T, index: number) => Promise<void>,
): Promise<void> {
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < items.length) {
      const index = next++
      await work(items[index] as T, index)
    }
  }
  // All settle before the first failure is thrown: nobody works in a folder that is about to be removed.
  const results = await Promise.allSettled(Array.from({ length: atOnce }, worker))
  for (const result of results) if (result.status === 'rejected') throw result.reason
}
