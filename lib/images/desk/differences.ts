/** Finds what differs between `.new_N` and its baseline, by stamps alone, and what of it overlays/ cannot hold. */
import type { Baseline } from './baseline.ts'
import { baseOf } from './nodes.ts'
import type { Stock } from './stock.ts'
import type { Scan, UpperNode } from './upper-scan.ts'

export interface Found {
  node: UpperNode
  /** What the stock shows in its place, an inode; 0: nothing. */
  lower: number
  changed: boolean
  opaque: boolean
}

export interface Left {
  path: string
  why: string
  /** Nothing may be called done before somebody has seen to it. */
  refuse: boolean
}

export interface Differences {
  /** All that counts, by path. */
  found: Map<string, Found>
  /** What the baseline has and `.new_N` has not. */
  gone: string[]
  left: Left[]
}

/** Longer than a tick of the clock that files get their times from: a change within one is not seen by its time. */
const tick = 20
const nameBytes = 255
const pathBytes = 4000

export function isUnchanged({ stamp, changed }: UpperNode, path: string, { upper, at }: Baseline): boolean {
  return upper.get(path)?.stamp === stamp && changed < at - tick
}

/** `opaque` says of a folder whether it hides what the stock has in it. */
export function findDifferences(
  { root, unreadable }: Scan,
  stock: Stock,
  baseline: Baseline,
  opaque: (path: string) => boolean,
): Differences {
  const found = new Map<string, Found>()
  const left: Left[] = unreadable.map((path) => ({ path, why: 'its name is not UTF-8', refuse: true }))
  // Another image has other inodes; then a stamp alone says what was changed.
  const isSame = baseline.stock === stock.identity
  const marks = baseline.form.whiteouts === 'file'

  const visit = (folder: UpperNode, lowerFolder: number | undefined): void => {
    const folded = new Map<string, string>()
    for (const [name, node] of folder.children!) {
      const like = lowerFolder === undefined ? undefined : stock.child(lowerFolder, name)
      // On FAT the stock may have it in other capitals; the merged tree knows no such likeness.
      const lower = like?.name === name ? like : undefined
      const why =
        whyLeft(node, stock.fat, marks) ?? (stock.fat && twin(node, name, like?.name, folder, folded))
      if (why) {
        left.push({ path: node.path, ...why })
        continue
      }
      if (node.kind === 'whiteout' && !removes(node, lower?.id)) continue
      const known = baseline.upper.get(node.path)
      const isOpaque = node.kind === 'directory' && opaque(node.path)
      found.set(node.path, {
        node,
        lower: lower?.id ?? 0,
        changed: !isUnchanged(node, node.path, baseline) || (isSame && known?.lower !== (lower?.id ?? 0)),
        opaque: isOpaque,
      })
      if (node.kind !== 'directory') continue
      const isFolder = lower !== undefined && stock.node(lower.id).type === 'directory'
      visit(node, isFolder && !isOpaque ? lower.id : undefined)
    }
  }
  // What overlays/ empties as a whole, no single deletion says again.
  const emptied = [...baseline.overlay].some(([path, { opaque: mark, at = path }]) => mark && at === '')
  visit(root, emptied ? undefined : stock.rootId)
  const gone = [...baseline.upper.keys()].filter((path) => !found.has(path))
  return { found, gone, left }
}

// No layer takes this folder away: a checker needs it.
const removes = ({ path }: UpperNode, lower: number | undefined): boolean =>
  lower !== undefined && path !== 'lost+found'

function whyLeft({ path, kind }: UpperNode, fat: boolean, marks: boolean): Omit<Left, 'path'> | undefined {
  const name = baseOf(path)
  const refuse = (why: string) => ({ why, refuse: true })
  if (!marks && name.startsWith('.wh.')) {
    return refuse('names that begin with `.wh.` mark deletions in overlays/: rename it')
  }
  if (kind === 'whiteout' && Buffer.byteLength(name) + '.wh.'.length > nameBytes) {
    return refuse('its name is too long for a mark that it was deleted: bring it back, or empty its folder')
  }
  if (Buffer.byteLength(path) > pathBytes) return refuse(`its path is longer than ${pathBytes} bytes`)
  if (fat && kind !== 'file' && kind !== 'directory' && kind !== 'whiteout') {
    return refuse(`it is a ${kind}, which a FAT filesystem cannot hold`)
  }
  if (/^(?:\.git|git~1)$/i.test(name))
    return { why: 'git cannot hold a repository of another', refuse: false }
  if (kind === 'socket') return { why: 'the program that listens on a socket makes it', refuse: false }
  return undefined
}

/** On FAT two names that differ in their capitals alone are one. */
function twin(
  { kind }: UpperNode,
  name: string,
  stockName: string | undefined,
  folder: UpperNode,
  folded: Map<string, string>,
): Omit<Left, 'path'> | undefined {
  if (kind === 'whiteout') return undefined
  const key = name.toUpperCase()
  const other = folded.get(key) ?? (stockName !== name ? stockName : undefined)
  folded.set(key, name)
  if (other === undefined || folder.children!.get(other)?.kind === 'whiteout') return undefined
  return { why: `on FAT it is the same name as ${JSON.stringify(other)}`, refuse: true }
}
