/** Turns a diff into debugfs commands. */
import { relative } from 'node:path'
import type { Creation, Diff, FolderChange, Removal } from '../tree/diff.ts'
import type { Staging } from '../tree/staging.ts'
import { byNumber, here } from './addresses.ts'
import type { Command } from './debugfs.ts'
import { fitsFile } from './debugfs.ts'
import { freeBlocks } from './dying.ts'
import type { Inode } from './inode.ts'
import type { ExtReader } from './reader.ts'

/** A name that only -R can carry; the main command file uses `standIn` for it. */
export interface OddName {
  folder: number
  name: string
  standIn: string
}

export interface Plan {
  /** Names to take away by -R, once their files have a stand-in. */
  oddRemovals: (OddName & { id: number })[]
  main: Command[]
  /** Symlinks whose command fits into no file: made in the top folder under a stand-in, linked from there. */
  oddLinks: { standIn: string; target: string; creation: Creation }[]
  /** What each creation is called until the end. */
  standIns: Map<Creation, string>
}

/** Removes first, so that what is freed can be used again. */
export function planExt(reader: ExtReader, diff: Diff, staging: Staging, tmp: string): Plan {
  const plan: Plan = { oddRemovals: [], main: [], oddLinks: [], standIns: new Map() }
  let standIns = 0
  const left = new Map<number, number>()
  const xattrBlocks: number[] = []
  const taken = new Set(reader.list(reader.rootId).keys())
  const standIn = (): string => {
    let name: string
    do name = `.standin-${standIns++}`
    while (taken.has(name))
    return name
  }
  for (const change of diff.folders) {
    // A stand-in lives beside what the image and the layers have there.
    for (const name of reader.list(change.id).keys()) if (name.startsWith('.standin-')) taken.add(name)
    collectNames(change.creations, taken)
  }
  for (const change of diff.folders) remove(change)
  plan.main.push(...freeBlocks(xattrBlocks, relative(tmp, staging.empty), standIn()))
  for (const change of diff.folders) {
    if (change.creations.every((creation) => creation.link)) continue
    plan.main.push(['cd', byNumber(change.id)])
    create(change.creations)
  }
  return plan

  function remove(change: FolderChange): void {
    if (change.removals.length === 0) return
    plan.main.push(['cd', byNumber(change.id)])
    removeAll(change.id, change.removals)
  }

  function removeAll(folder: number, removals: readonly Removal[]): void {
    for (const removal of removals) {
      let name = removal.name
      if (!fitsFile([name])) {
        const odd = { folder, name, standIn: standIn(), id: removal.id }
        plan.oddRemovals.push(odd)
        name = odd.standIn
      }
      if (removal.folder) {
        if (removal.below.length > 0) {
          plan.main.push(['cd', byNumber(removal.id)])
          removeAll(removal.id, removal.below)
          plan.main.push(['cd', byNumber(folder)])
        }
        keepXattrBlock(reader.inode(removal.id))
        plan.main.push(['rmdir', here(name)])
      } else {
        const inode = reader.inode(removal.id)
        left.set(removal.id, (left.get(removal.id) ?? inode.links) - 1)
        if (left.get(removal.id) === 0) keepXattrBlock(inode)
        plan.main.push(['rm', here(name)])
      }
    }
  }

  function keepXattrBlock(inode: Inode): void {
    if (inode.xattrBlock === 0) return
    plan.main.push(['sif', byNumber(inode.number), 'file_acl', '0'])
    xattrBlocks.push(inode.xattrBlock)
  }

  function create(creations: readonly Creation[]): void {
    for (const creation of creations) {
      if (creation.link) continue
      const { node } = creation
      let name = creation.name
      const symlink = node.type === 'symlink' ? ['symlink', here(name), node.target!] : undefined
      if (!fitsFile([name]) || (symlink && !fitsFile(symlink))) {
        name = standIn()
        plan.standIns.set(creation, name)
      }
      switch (node.type) {
        case 'directory':
          plan.main.push(['mkdir', here(name)])
          if (creation.below.length > 0) {
            plan.main.push(['cd', here(name)])
            create(creation.below)
            plan.main.push(['cd', '..'])
          }
          break
        case 'file':
          plan.main.push(['write', relative(tmp, staging.path(node.content!)), here(name)])
          break
        case 'symlink':
          if (fitsFile(['symlink', here(name), node.target!]))
            plan.main.push(['symlink', here(name), node.target!])
          else plan.oddLinks.push({ standIn: name, target: node.target!, creation })
          break
        default:
          // mknod takes its name literally: no './'. Numbers above its limits are set at the end.
          plan.main.push(
            node.type === 'fifo' ? ['mknod', name, 'p'] : ['mknod', name, node.type[0]!, '0', '0'],
          )
      }
    }
  }
}

function collectNames(creations: readonly Creation[], into: Set<string>): void {
  for (const { name, below } of creations) {
    if (name.startsWith('.standin-')) into.add(name)
    collectNames(below, into)
  }
}
