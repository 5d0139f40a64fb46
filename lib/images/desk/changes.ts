/** What a desk's overlays/ make of the stock image, in figures, and what git does not have of it. */
import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import { compareText } from '../../formats/layer/order.ts'
import { readBaseline } from './baseline.ts'
import { type GitPlace, git, isUnderGit, zeroEnded } from './git.ts'
import { laidTree } from './laid-tree.ts'
import { below } from './nodes.ts'
import { withStock } from './stock.ts'
import type { Desk, DeskChanges, DeskPart, GitLacks, PartChanges } from './types.ts'

/** Of what is in overlays/ now: takeIn brings it up to what is mounted. Fails as `overlay` does. */
export async function deskChanges(desk: Desk, parts: readonly DeskPart[]): Promise<DeskChanges> {
  const changes: PartChanges[] = []
  for (const part of parts) changes.push(await changesOf(desk, part))
  return { parts: changes, git: await gitLacks(desk) }
}

async function changesOf(desk: Desk, { partition, form }: DeskPart): Promise<PartChanges> {
  const { number } = partition
  return await withStock(desk, { partition, form }, async (stock) => {
    const before = await readBaseline(desk, number)
    // What git ignores is told apart; devices count where nobody can make them, too.
    const all = { ...form, owners: true }
    const { nodes } = await laidTree({ ...desk, warn: () => {} }, number, stock, all, before)
    const gone = new Set<string>()
    const made: string[] = []
    let bytes = 0
    for (const [path, { kind, opaque, from }] of nodes) {
      if (kind !== 'directory' || opaque) {
        for (const file of stock.filesAt(path)) gone.add(file)
      }
      if (kind !== 'directory' && kind !== 'whiteout') made.push(path)
      if (from !== undefined) bytes += (await lstat(from)).size
    }
    const changed = made.filter((path) => gone.has(path)).length
    return { number, added: made.length - changed, changed, removed: gone.size - changed, bytes }
  })
}

async function gitLacks({ folder, run, caller }: Desk): Promise<GitLacks | undefined> {
  const place: GitPlace = { run, caller, cwd: join(folder, 'overlays') }
  if (!(await isUnderGit(place))) return undefined
  const options = ['--porcelain=v1', '-z', '--no-renames', '--untracked-files=all', '--ignored=matching']
  const { stdout } = await git(place, ['status', ...options, '--', '.'])
  const prefix = (await git(place, ['rev-parse', '--show-prefix'])).stdout.toString().replace(/\n$/, '')
  const lacks: GitLacks = { untracked: [], modified: [], deleted: [], ignored: [] }
  for (const record of zeroEnded(stdout)) {
    const state = record.slice(0, 2)
    const list =
      state === '!!' ? 'ignored' : /[?A]/.test(state) ? 'untracked' : /D/.test(state) ? 'deleted' : 'modified'
    // Paths are those from the top of the repository.
    lacks[list].push(below('overlays', record.slice(3 + prefix.length)))
  }
  for (const list of Object.values(lacks)) list.sort(compareText)
  return lacks
}
