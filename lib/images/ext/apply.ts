/** Applies layers to ext2, ext3 or ext4: read, plan, edit by debugfs, compare, check. */
import { FleetsieError } from '../../errors.ts'
import type { ApplyOptions } from '../apply-options.ts'
import { partitionName } from '../partition-edit.ts'
import { type Creation, type Diff, diffTree } from '../tree/diff.ts'
import { mergeLayers } from '../tree/merge.ts'
import { type MergedNode, MergedTree } from '../tree/merged.ts'
import { Staging } from '../tree/staging.ts'
import { type Window, withWindow } from '../window.ts'
import { byNumber, here } from './addresses.ts'
import { assertEditable, assertPossible, fsckExt, mendHint } from './check.ts'
import { type Command, Debugfs, fitsFile } from './debugfs.ts'
import { linkedDevice } from './device.ts'
import { dyingInodes, unshareCommands } from './dying.ts'
import { fieldCommands, type Placed, wantedInodes, XattrValues, xattrCommands } from './finish.ts'
import { checkExtEntry } from './limits.ts'
import { type Plan, planExt } from './plan.ts'
import { ExtReader } from './reader.ts'
import { assertRoom } from './space.ts'
import { settleSuperblock } from './superblock.ts'
import { blocksBefore, touchedPlaces } from './touched.ts'
import { verifyExt } from './verify.ts'

/** `tmp` is empty and ours alone. Answers with what may have changed, as [position, length] in the partition. */
export async function applyExt(options: ApplyOptions, tmp: string): Promise<[number, number][]> {
  return withWindow(options.disk, options.partition, 'r+', (window) => edit(options, tmp, window))
}

async function edit(options: ApplyOptions, tmp: string, window: Window): Promise<[number, number][]> {
  const { run, partition, layers, epoch, signal } = options
  const what = partitionName(partition)
  const device = await linkedDevice(options.disk, partition.offset, tmp)
  const before = new ExtReader(window)
  assertEditable(before.superblock, what, partition.offset)

  const tree = new MergedTree(before)
  const staging = await Staging.open(tmp, before.blockSize)
  const check = options.checked
    ? Promise.resolve()
    : fsckExt(run, device, tmp, before.superblock, {
        code: 'E_DAMAGED',
        what,
        hint: mendHint(partition.offset),
      })
  // Both to their ends: neither may still run when `tmp` goes away.
  const both = await Promise.allSettled([
    check,
    mergeLayers(tree, layers, staging, (entry) => checkExtEntry(before.superblock, entry), signal),
  ])
  for (const end of both) if (end.status === 'rejected') throw end.reason

  const diff = diffTree(tree)
  if (diff.folders.length === 0 && diff.restyled.length === 0) return []
  assertPossible(before, diff, what)
  assertRoom(before, diff, what)
  // A time of deletion below the count of inodes looks like a link of the orphan list to e2fsck, and 0 like none.
  const now = Math.max(epoch, before.superblock.inodes + 1)
  const debugfs = new Debugfs(run, device, tmp, now)
  const dying = dyingInodes(before, diff)
  const old = blocksBefore(before, diff, dying)
  await debugfs.edit(unshareCommands(before, dying))
  const unshared = new ExtReader(window)
  old.push(...blocksBefore(unshared, diff, dying))
  const plan = planExt(unshared, diff, staging, tmp)
  await removeOddNames(debugfs, plan)
  await debugfs.edit(plan.main)
  for (const link of plan.oddLinks) await debugfs.request(['symlink', `/${link.standIn}`, link.target])

  const { placed, inodes } = locate(new ExtReader(window), diff, plan)
  await nameThem(debugfs, placed, inodes, plan)
  const reader = new ExtReader(window)
  const wanted = wantedInodes(diff, inodes, placed)
  const values = new XattrValues(tmp)
  const last: Command[] = standInRemovals(placed, plan)
  for (const one of wanted) {
    last.push(...xattrCommands(reader, one, values))
    last.push(...fieldCommands(reader, one, epoch))
  }
  await debugfs.edit(last)
  settleSuperblock(window, before.superblock, epoch)

  const after = new ExtReader(window)
  await verifyExt({ before, after, diff, wanted, placed, inodes, epoch, what, signal })
  if (!options.checkLater) {
    await fsckExt(run, device, tmp, after.superblock, { code: 'E_STAGE', what: `${what}, just edited,` })
  }
  return touchedPlaces(after, diff, inodes, old)
}

async function removeOddNames(debugfs: Debugfs, plan: Plan): Promise<void> {
  if (plan.oddRemovals.length === 0) return
  await debugfs.edit(
    plan.oddRemovals.flatMap(({ folder, id, standIn }): Command[] => [
      ['cd', byNumber(folder)],
      ['symlink', here(standIn), 'x'],
      ['rm', here(standIn)],
      ['ln', byNumber(id), here(standIn)],
    ]),
  )
  for (const { folder, name } of plan.oddRemovals)
    await debugfs.request(['unlink', `${byNumber(folder)}/${name}`])
}

/** Finds the numbers of the inodes that debugfs chose. */
function locate(
  reader: ExtReader,
  diff: Diff,
  plan: Plan,
): { placed: Placed[]; inodes: Map<MergedNode, number> } {
  const placed: Placed[] = []
  const inodes = new Map<MergedNode, number>()
  const top = reader.list(reader.rootId)
  const rooted = new Set(plan.oddLinks.map(({ creation }) => creation))
  const visit = (folder: number, creations: readonly Creation[]): void => {
    if (creations.length === 0) return
    const names = reader.list(folder)
    for (const creation of creations) {
      placed.push({ creation, folder })
      const { node } = creation
      if (creation.link) continue
      const name = plan.standIns.get(creation) ?? creation.name
      const inode = (rooted.has(creation) ? top : names).get(name)
      if (inode === undefined)
        throw new FleetsieError('E_STAGE', `debugfs did not create ${JSON.stringify(name)}`)
      inodes.set(node, inode)
      visit(inode, creation.below)
    }
  }
  for (const { id, creations } of diff.folders) visit(id, creations)
  return { placed, inodes }
}

/** Gives hard links and stand-ins their names. */
async function nameThem(
  debugfs: Debugfs,
  placed: readonly Placed[],
  inodes: Map<MergedNode, number>,
  plan: Plan,
): Promise<void> {
  const waiting = placed.filter(({ creation }) => creation.link || plan.standIns.has(creation))
  // `ln` does not enlarge a folder, making a symlink does: what stood for a name leaves room for it.
  const fits = waiting.filter(({ creation }) => fitsFile([creation.name]))
  const odd = waiting.filter(({ creation }) => !fitsFile([creation.name]))
  const commands = fits.flatMap(({ creation, folder }): Command[] => [
    ['cd', byNumber(folder)],
    ['symlink', here(creation.name), 'x'],
    ['rm', here(creation.name)],
    ['ln', byNumber(inodes.get(creation.node)!), here(creation.name)],
  ])
  const filler = (index: number, name: string): string =>
    here(`.filler-${index}-`.padEnd(name.length, 'x').slice(0, 255))
  for (const [index, { creation, folder }] of odd.entries()) {
    commands.push(['cd', byNumber(folder)], ['symlink', filler(index, creation.name), 'x'])
  }
  for (const [index, { creation, folder }] of odd.entries()) {
    commands.push(['cd', byNumber(folder)], ['rm', filler(index, creation.name)])
  }
  await debugfs.edit(commands)
  for (const { creation, folder } of odd) {
    await debugfs.request([
      'ln',
      byNumber(inodes.get(creation.node)!),
      `${byNumber(folder)}/${creation.name}`,
    ])
  }
}

function standInRemovals(placed: readonly Placed[], plan: Plan): Command[] {
  const rooted = new Set(plan.oddLinks.map(({ creation }) => creation))
  return placed.flatMap(({ creation, folder }): Command[] => {
    const standIn = plan.standIns.get(creation)
    if (standIn === undefined) return []
    return [
      ['cd', byNumber(rooted.has(creation) ? 2 : folder)],
      ['unlink', here(standIn)],
    ]
  })
}
