/** Brings what was changed in a desk's partition into overlays/part_N and part_N.mtree. */
import { lstat, mkdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import { settle } from '../caller.ts'
import { sweepParts } from '../replace-file.ts'
import { type Baseline, emptyBaseline, readBaseline, type UpperEntry, writeBaseline } from './baseline.ts'
import type { Differences, Left } from './differences.ts'
import { findWanted } from './find-wanted.ts'
import { listed } from './keep-tracked.ts'
import { below } from './nodes.ts'
import { upperPlace } from './places.ts'
import { type Stock, withStock } from './stock.ts'
import { storeWanted } from './store-wanted.ts'
import type { Desk, DeskPart, TakenIn } from './types.ts'
import { type Scan, scanUpper } from './upper-scan.ts'
import type { Comparing, HeldAt, Wanted } from './wanted.ts'

/**
 * Writes what `.new_N` has and its baseline has not; costs follow what was changed. What was changed in overlays/ alone
 * stays; what was changed in both is as in the desk then, and the other one goes to `.desk/replaced/`. Can be repeated
 * after an end at any moment. Fails with E_INPUT, all else being taken in, when a name cannot be in overlays/.
 */
export async function takeIn(desk: Desk, part: DeskPart): Promise<TakenIn> {
  const counts: TakenIn = { written: 0, removed: 0, lines: 0, bytes: 0 }
  const { number } = part.partition
  const upper = join(desk.folder, upperPlace(number))
  const before = await readBaseline(desk, number)
  // While it is being filled, all in it comes from overlays/.
  if (!(await isFolder(upper)) || before?.complete === false) return counts
  const overlays = join(desk.folder, 'overlays')
  if (!(await isFolder(overlays))) {
    await mkdir(overlays)
    await settle(overlays, 0o755, desk.caller)
  }
  await sweepParts(overlays)
  const at = Date.now()
  const scan = await scanUpper(upper, (before ?? part).form.whiteouts === 'file')
  const left = await withStock(desk, part, async (stock) => {
    const baseline = before ?? emptyBaseline(part.form, stock.identity)
    checkTop(desk, number, scan, stock, baseline)
    const comparing: Comparing = { stock, baseline, heldAt: heldAt(baseline) }
    const wanted = new Map<string, Wanted>()
    try {
      const differences = await findWanted(desk, number, scan, comparing, wanted)
      const names = differences.left.map(({ path }) => path)
      const looked = wanted.size > 0
      await dropUnchanged(wanted, differences, baseline)
      if (looked || names.join('\0') !== baseline.left.join('\0')) {
        // Contents first: no name may come to a file that a power cut leaves empty.
        if ([...wanted.values()].some(({ body }) => body?.type === 'file')) await syncDisk(desk)
        const overlay = await storeWanted(desk, number, differences, comparing, wanted, counts)
        await syncDisk(desk)
        const entries = upperEntries(
          differences,
          (path) => wanted.get(path)?.sign ?? baseline.upper.get(path)?.sign ?? '',
        )
        await writeBaseline(desk, number, { ...baseline, at, overlay, upper: entries, left: names })
      }
      return differences.left
    } finally {
      await discardContents(wanted)
    }
  })
  tellLeft(desk, number, left)
  return counts
}

async function isFolder(path: string): Promise<boolean> {
  const stats = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error
  })
  return stats?.isDirectory() ?? false
}

/** One call for many files: an fsync for each costs more than writing them. */
async function syncDisk({ run, folder }: Desk): Promise<void> {
  await run('sync', ['-f', '--', join(folder, 'overlays')])
}

/** By path in `.new_N`. */
function heldAt({ overlay }: Baseline): Map<string, HeldAt[]> {
  const names = new Map<string, HeldAt[]>()
  for (const [path, held] of overlay) {
    const at = held.at ?? path
    names.set(at, [...(names.get(at) ?? []), { path, held }])
  }
  return names
}

/** For the baseline; `signOf` says how each would be laid out. */
export function upperEntries(
  { found }: Differences,
  signOf: (path: string) => string,
): Map<string, UpperEntry> {
  const entries = new Map<string, UpperEntry>()
  for (const [path, { node, lower, opaque }] of found) {
    entries.set(path, { stamp: node.stamp, lower, sign: signOf(path), ...(opaque && { opaque }) })
  }
  return entries
}

/**
 * What only looked changed, by its times, is as it was when overlays/ said the same: nothing is to be done for it, for
 * overlays/ may have been edited since. Without a sign nothing can be told.
 */
async function dropUnchanged(
  wanted: Map<string, Wanted>,
  { found }: Differences,
  { upper }: Baseline,
): Promise<void> {
  for (const [path, one] of wanted) {
    const known = upper.get(path)
    if (one.sign === '' || known?.sign !== one.sign || known.lower !== found.get(path)?.lower) continue
    await discardContent(one)
    wanted.delete(path)
  }
}

async function discardContents(wanted: ReadonlyMap<string, Wanted>): Promise<void> {
  for (const one of wanted.values()) await discardContent(one)
}

async function discardContent({ body }: Wanted): Promise<void> {
  if (body?.type === 'file') await unlink(body.temp).catch(() => {})
}

function checkTop(desk: Desk, number: number, { root }: Scan, stock: Stock, { form }: Baseline): void {
  if (stock.fat) return
  const { mode, uid, gid } = stock.attributes(stock.rootId)
  if (root.mode === mode && (!form.owners || (root.uid === uid && root.gid === gid))) return
  desk.warn(`part_${number}: owner and mode of the top folder itself stay as the image has them`)
}

function tellLeft(desk: Desk, number: number, left: readonly Left[]): void {
  const shown = (path: string): string => below(`part_${number}`, path)
  for (const { path, why } of left.filter(({ refuse }) => !refuse)) {
    desk.warn(`${shown(path)} is not taken into overlays/, and will not be in the image: ${why}`)
  }
  const refused = left.filter(({ refuse }) => refuse)
  const [first] = refused
  if (!first) return
  const more = refused.length > 1 ? `; so are ${listed(refused.slice(1).map(({ path }) => shown(path)))}` : ''
  throw new FleetsieError(
    'E_INPUT',
    `${JSON.stringify(shown(first.path))} cannot be taken into overlays/: ${first.why}${more}`,
    {
      file: shown(first.path),
      hint: `it is still there, in ${upperPlace(number)}, and all else is taken in; see to it, then call this again`,
    },
  )
}
