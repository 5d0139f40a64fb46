/** Random folders of files, in memory and on this machine's disk. */
import { linkSync, lutimesSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Random } from './random.ts'

export type TreeEntry =
  | { type: 'file'; data: Buffer }
  | { type: 'folder' }
  | { type: 'symlink'; target: string }

/** By path; a folder stands before what is in it. */
export type Tree = Map<string, TreeEntry>

const names = ['a', 'bin', 'conf.d', 'etc', 'lib', 'with space', 'usr', 'x.so.1', 'größe', 'n'.repeat(60)]

/** A name that the kind of filesystem can hold, and that differs from its neighbours by more than case. */
export function randomName(random: Random, fat: boolean): string {
  const name = random.pick(fat ? names.slice(0, 8) : names)
  return random.chance(0.5) ? name : `${name}${random.int(0, 99)}`
}

/** Files of at most `room` bytes in all. */
export function randomTree(random: Random, room: number, fat: boolean): Tree {
  const tree: Tree = new Map()
  const folders = ['']
  for (let left = room, i = random.int(0, 40); i > 0; i--) {
    const parent = random.pick(folders)
    const path = `${parent}${parent && '/'}${randomName(random, fat)}`
    if (tree.has(path)) continue
    if (random.chance(0.25)) {
      tree.set(path, { type: 'folder' })
      folders.push(path)
    } else if (!fat && random.chance(0.15)) {
      const target = random.chance(0.5) ? randomName(random, false) : `/${random.pick([...folders, 'gone'])}`
      tree.set(path, { type: 'symlink', target })
    } else {
      const data = random.content(Math.min(left, random.fileSize(700_000)))
      left -= data.length
      tree.set(path, { type: 'file', data })
    }
  }
  return tree
}

/** All of it in `folder`, with one time for all; equal files are sometimes one file with two names. */
export function writeTree(random: Random, tree: Tree, folder: string, links: boolean): void {
  const time = 1_500_000_000
  mkdirSync(folder, { recursive: true })
  let last: string | undefined
  for (const [path, entry] of tree) {
    const to = join(folder, path)
    mkdirSync(dirname(to), { recursive: true })
    if (entry.type === 'folder') mkdirSync(to, { recursive: true })
    else if (entry.type === 'symlink') symlinkSync(entry.target, to)
    else if (links && last !== undefined && random.chance(0.05)) {
      linkSync(join(folder, last), to)
      entry.data = (tree.get(last) as typeof entry).data
    } else {
      writeFileSync(to, entry.data, { mode: random.pick([0o644, 0o755, 0o600]) })
      last = path
    }
  }
  for (const path of ['', ...tree.keys()].reverse()) {
    const entry = tree.get(path)
    if (entry?.type === 'symlink') lutimesSync(join(folder, path), time, time)
    else utimesSync(join(folder, path), time, time)
  }
}
