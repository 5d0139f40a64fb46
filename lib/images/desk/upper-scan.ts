/** Walks an upper folder by lstat: what is there, and a stamp by which a later walk sees that it was changed. */
import type { BigIntStats } from 'node:fs'
import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import { below, type Kind } from './nodes.ts'

export interface UpperNode {
  path: string
  kind: Kind | 'whiteout' | 'socket'
  /** The name of a mark, `.wh.NAME` for NAME. */
  real?: string
  /** Inode, time of change, size and mode. */
  stamp: string
  /** Milliseconds since 1970: its time of change. */
  changed: number
  mode: number
  uid: number
  gid: number
  size: number
  device?: { major: number; minor: number }
  /** Of a folder: by name. */
  children?: Map<string, UpperNode>
  /** Of a folder: fuse-overlayfs left its mark that hides what the stock has in it. */
  marked?: boolean
}

export interface Scan {
  root: UpperNode
  /** All but the root. */
  nodes: Map<string, UpperNode>
  /** Names that are not UTF-8, as far as they can be shown. */
  unreadable: string[]
}

const maxNodes = 1_000_000
const opaqueMark = '.wh..wh..opq'

/** `marks`: files `.wh.NAME` are deletions, as fuse-overlayfs writes them, and no files of the user's. */
export async function scanUpper(folder: string, marks: boolean): Promise<Scan> {
  const root = toNode('', await lstat(folder, { bigint: true }))
  const scan: Scan = { root, nodes: new Map(), unreadable: [] }
  await visit(folder, root, marks, scan)
  return scan
}

async function visit(top: string, folder: UpperNode, marks: boolean, scan: Scan): Promise<void> {
  folder.children = new Map()
  const names = await readdir(join(top, folder.path), 'buffer').catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'EACCES') throw cause
    throw new FleetsieError('E_RIGHTS', 'this folder cannot be read', {
      file: join(top, folder.path),
      hint: 'call this as the user who changed it, or give it back the mode 0700',
      cause,
    })
  })
  for (const bytes of names) {
    const name = bytes.toString()
    const path = below(folder.path, name)
    if (!Buffer.from(name).equals(bytes)) {
      scan.unreadable.push(path)
      continue
    }
    const node = toNode(path, await lstat(join(top, path), { bigint: true }))
    if (marks && name === opaqueMark) {
      folder.marked = true
      continue
    }
    if (marks && name.startsWith('.wh.')) {
      // `.wh..opq` beside the mark is its own; it names nothing that an image has.
      const hidden = name.slice('.wh.'.length)
      add(scan, folder, hidden, {
        ...node,
        path: below(folder.path, hidden),
        real: path,
        kind: 'whiteout',
      })
      continue
    }
    add(scan, folder, name, node)
    if (node.kind === 'directory') await visit(top, node, marks, scan)
  }
}

function add(scan: Scan, folder: UpperNode, name: string, node: UpperNode): void {
  // What is there wins over a mark that says that it is not.
  if (node.kind === 'whiteout' && folder.children!.has(name)) return
  folder.children!.set(name, node)
  scan.nodes.set(node.path, node)
  if (scan.nodes.size > maxNodes) throw new FleetsieError('E_INPUT', `more than ${maxNodes} changed files`)
}

function toNode(path: string, stats: BigIntStats): UpperNode {
  const { ino, ctimeNs, size, mode } = stats
  const kind = kindOf(stats)
  const node: UpperNode = {
    path,
    kind,
    stamp: `${ino}:${ctimeNs}:${kind === 'directory' ? '' : size}:${mode.toString(8)}`,
    changed: Number(ctimeNs / 1_000_000n),
    mode: Number(mode & 0o7777n),
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    size: Number(size),
  }
  if (kind === 'character' || kind === 'block') node.device = numbers(stats.rdev)
  return node
}

function kindOf(stats: BigIntStats): UpperNode['kind'] {
  if (stats.isFile()) return 'file'
  if (stats.isDirectory()) return 'directory'
  if (stats.isSymbolicLink()) return 'symlink'
  if (stats.isFIFO()) return 'fifo'
  if (stats.isSocket()) return 'socket'
  if (stats.isBlockDevice()) return 'block'
  return stats.rdev === 0n ? 'whiteout' : 'character'
}

/** As gnu_dev_major(3) and gnu_dev_minor(3) do. */
function numbers(rdev: bigint): { major: number; minor: number } {
  const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & ~0xfffn)
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & ~0xffn)
  return { major: Number(major), minor: Number(minor & 0xffff_ffffn) }
}
