/** Which files two trees differ in, and in what. */
import type { FileState, Tree } from './tree.ts'

/** What of a file differs. `time` alone is no change unless it is asked for. */
export type Aspect = 'type' | 'content' | 'mode' | 'owner' | 'xattr' | 'target' | 'device' | 'time'

export interface FileChange {
  /** From the partition's top without a leading '/', '' for the top itself; bytes as latin1. */
  path: string
  kind: 'added' | 'removed' | 'changed'
  before?: FileState
  after?: FileState
  /** Of what is on both sides. */
  differs: Aspect[]
}

export interface Judge<A, B> {
  /** Nothing at or below the two differs, as is known without looking. */
  untouched(before: A, after: B): boolean
  /** Of two files of the same size. */
  sameContent(before: A, after: B): boolean
  /** Whether a different modification time is a change. */
  times: boolean
  /** Only this path and what is below it; bytes as latin1. */
  within?: string
}

/** A change with the nodes it is about. */
export type NodeChange<A, B> = FileChange & { nodes: { before?: A; after?: B } }

/** In the order of paths, a folder before what is in it; each file of a folder that came or went is told. */
export function* compareTrees<A, B>(
  before: Tree<A>,
  after: Tree<B>,
  judge: Judge<A, B>,
): Generator<NodeChange<A, B>> {
  yield* compareNodes({ before, after, judge }, '', before.root, after.root)
}

interface Pair<A, B> {
  before: Tree<A>
  after: Tree<B>
  judge: Judge<A, B>
}

function* compareNodes<A, B>(pair: Pair<A, B>, path: string, a: A, b: B): Generator<NodeChange<A, B>> {
  if (pair.judge.untouched(a, b)) return
  const [before, after] = [pair.before.state(a), pair.after.state(b)]
  const differs = isWithin(pair, path) ? aspects(pair, a, b, before, after) : []
  if (differs.length > 0)
    yield { path, kind: 'changed', before, after, differs, nodes: { before: a, after: b } }
  const [old, now] = [
    pair.before.isFolder(a) ? pair.before.children(a) : new Map<string, { name: string; node: A }>(),
    pair.after.isFolder(b) ? pair.after.children(b) : new Map<string, { name: string; node: B }>(),
  ]
  for (const key of [...new Set([...old.keys(), ...now.keys()])].sort()) {
    const [was, is] = [old.get(key), now.get(key)]
    if (!leadsWithin(pair, join(path, (is ?? was)!.name))) continue
    if (was && is) yield* compareNodes(pair, join(path, is.name), was.node, is.node)
    else if (was) yield* all(pair, pair.before, join(path, was.name), was.node, 'removed')
    else if (is) yield* all(pair, pair.after, join(path, is.name), is.node, 'added')
  }
}

const below = (path: string, folder: string): boolean =>
  folder === '' || path === folder || path.startsWith(`${folder}/`)

function isWithin({ judge }: { judge: { within?: string } }, path: string): boolean {
  return judge.within === undefined || below(path, judge.within)
}

/** Or is a folder on the way there. */
function leadsWithin(pair: { judge: { within?: string } }, path: string): boolean {
  return isWithin(pair, path) || below(pair.judge.within!, path)
}

function* all<A, B, Node extends A | B>(
  pair: Pair<A, B>,
  tree: Tree<Node>,
  path: string,
  node: Node,
  kind: 'added' | 'removed',
): Generator<NodeChange<A, B>> {
  if (!leadsWithin(pair, path)) return
  if (isWithin(pair, path)) {
    const state = tree.state(node)
    yield kind === 'added'
      ? { path, kind, after: state, differs: [], nodes: { after: node as B } }
      : { path, kind, before: state, differs: [], nodes: { before: node as A } }
  }
  if (!tree.isFolder(node)) return
  for (const { name, node: child } of [...tree.children(node).values()].sort(byName)) {
    yield* all(pair, tree, join(path, name), child, kind)
  }
}

function aspects<A, B>({ judge }: Pair<A, B>, a: A, b: B, before: FileState, after: FileState): Aspect[] {
  const found: Aspect[] = []
  if (before.type !== after.type) found.push('type')
  else if (before.type === 'file' && (before.size !== after.size || !judge.sameContent(a, b)))
    found.push('content')
  else if (before.target !== after.target) found.push('target')
  else if (before.device?.major !== after.device?.major || before.device?.minor !== after.device?.minor)
    found.push('device')
  // The mode of a link is never asked.
  if (before.mode !== after.mode && !(before.type === 'symlink' && after.type === 'symlink'))
    found.push('mode')
  if (before.uid !== after.uid || before.gid !== after.gid) found.push('owner')
  if (!sameXattrs(before.xattrs, after.xattrs)) found.push('xattr')
  if (judge.times && !sameTime(before, after)) found.push('time')
  return found
}

function sameXattrs(a: Map<string, Buffer>, b: Map<string, Buffer>): boolean {
  return a.size === b.size && [...a].every(([name, value]) => b.get(name)?.equals(value))
}

function sameTime({ mtime: a }: FileState, { mtime: b }: FileState): boolean {
  return a.seconds === b.seconds && a.nanoseconds === b.nanoseconds
}

const join = (folder: string, name: string): string => (folder === '' ? name : `${folder}/${name}`)

function byName(a: { name: string }, b: { name: string }): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0
}
