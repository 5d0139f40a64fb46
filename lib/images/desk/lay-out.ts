/** Fills `.new_N` before it is mounted, so that the merged tree is what a build makes of overlays/. */
import { chmod, chown, mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import { type Baseline, emptyBaseline, readBaseline, writeBaseline } from './baseline.ts'
import { findDifferences } from './differences.ts'
import type { LaidNode } from './laid-nodes.ts'
import { type LaidTree, laidTree } from './laid-tree.ts'
import { defaultFolder, parentOf } from './nodes.ts'
import { upperPlace } from './places.ts'
import { signOf } from './sign.ts'
import { type Stock, withStock } from './stock.ts'
import { takeIn, upperEntries } from './take-in.ts'
import type { Desk, DeskPart } from './types.ts'
import { type Scan, scanUpper, type UpperNode } from './upper-scan.ts'
import { writeUpper } from './upper-write.ts'

/**
 * Takes in first what is not saved yet, then writes what differs: what is as it has to be is not written again. Nothing
 * may be mounted meanwhile. After an end at any moment the next call begins anew. Fails as `overlay` and takeIn do.
 */
export async function layOut(desk: Desk, part: DeskPart): Promise<void> {
  const { number } = part.partition
  await takeIn(desk, part)
  const upper = upperPlace(number)
  const at = join(desk.folder, upper)
  await mkdir(at, { recursive: true })
  await withStock(desk, part, async (stock) => {
    const before = await readBaseline(desk, number)
    const tree = await laidTree(desk, number, stock, part.form, before)
    const scan = await scanUpper(at, before?.form.whiteouts === 'file')
    const { remove, write } = outdated(tree, scan, before, stock, part)
    if (remove.length > 0 || write.length > 0) {
      // From here on nothing in it is the user's work alone.
      const unfinished = before ?? emptyBaseline(part.form, stock.identity)
      await writeBaseline(desk, number, { ...unfinished, complete: false })
      for (const node of remove) await removeUpper(at, node)
      await writeUpper(desk, upper, part.form, write)
    }
    await setTop(at, stock, part)
    await finish(desk, part, stock, tree, before?.left ?? [])
  })
}

/** What has to go and what has to be written; the rest is as it has to be. */
function outdated(
  { nodes }: LaidTree,
  { nodes: there }: Scan,
  before: Baseline | undefined,
  stock: Stock,
  { form }: DeskPart,
): { remove: UpperNode[]; write: LaidNode[] } {
  const isUsable =
    before?.complete &&
    before.stock === stock.identity &&
    before.form.owners === form.owners &&
    before.form.whiteouts === form.whiteouts
  const write = new Map<string, LaidNode>()
  for (const [path, node] of nodes) {
    const known = before?.upper.get(path)
    const same = isUsable && known?.stamp === there.get(path)?.stamp && known?.sign === signOf(node)
    if (!same || write.has(parentOf(path))) write.set(path, node)
  }
  // What overlays/ cannot hold is nowhere else.
  const kept = new Set<string>()
  for (const path of before?.left ?? []) {
    for (let at = path; at !== '' && !kept.has(at); at = parentOf(at)) kept.add(at)
  }
  const leftIn = new Set(before?.left)
  const gone = new Set<string>()
  const remove: UpperNode[] = []
  for (const [path, node] of there) {
    const parent = parentOf(path)
    if (gone.has(parent)) gone.add(path)
    else if (leftIn.has(path) || leftIn.has(parent)) leftIn.add(path)
    else if (!kept.has(path) && (write.has(path) || !nodes.has(path))) {
      gone.add(path)
      remove.push(node)
    }
  }
  return { remove, write: [...write.values()] }
}

async function removeUpper(folder: string, { path, real = path }: UpperNode): Promise<void> {
  await rm(join(folder, real), { recursive: true, force: true }).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'EACCES' && cause.code !== 'EPERM') throw cause
    throw new FleetsieError('E_RIGHTS', 'another user made this', {
      file: join(folder, real),
      hint: 'mount as that user, with `sudo` if it was root',
      cause,
    })
  })
}

/** An overlay's top folder is as the upper one is. */
async function setTop(folder: string, stock: Stock, { form }: DeskPart): Promise<void> {
  const { mode, uid, gid } = stock.fat ? defaultFolder : stock.attributes(stock.rootId)
  if (form.owners) await chown(folder, uid, gid)
  await chmod(folder, form.owners ? mode : mode | 0o700)
}

async function finish(
  desk: Desk,
  { partition, form }: DeskPart,
  stock: Stock,
  { nodes, overlay }: LaidTree,
  left: string[],
): Promise<void> {
  const at = Date.now()
  const scan = await scanUpper(join(desk.folder, upperPlace(partition.number)), form.whiteouts === 'file')
  const laid: Baseline = {
    ...emptyBaseline(form, stock.identity),
    at,
    overlay,
    left,
  }
  const differences = findDifferences(scan, stock, laid, (path) => nodes.get(path)?.opaque ?? false)
  const upper = upperEntries(differences, (path) => {
    const node = nodes.get(path)
    return node ? signOf(node) : ''
  })
  await writeBaseline(desk, partition.number, { ...laid, upper })
}
