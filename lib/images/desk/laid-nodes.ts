/** The files, folders and deletions of `.new_N` that a merged tree asks for. */
import type { Source } from '../../engine/stage.ts'
import type { MergedNode, MergedTree } from '../tree/merged.ts'
import { foldName, shown, toBytes } from '../volume.ts'
import { type Attributes, below, defaultFile, defaultFolder, type Kind } from './nodes.ts'
import type { Laid } from './sign.ts'
import type { Stock } from './stock.ts'
import type { UpperForm } from './types.ts'

export interface LaidNode extends Laid {
  path: string
  /** Of a file: where its content is, on this machine. */
  from?: string
}

/** By path, a folder before what is in it. `emptied`: folders of which the stock's content is hidden. */
export function nodesOf(
  tree: MergedTree,
  stock: Stock,
  { owners }: UpperForm,
  contents: ReadonlyMap<MergedNode, Source & { type: 'file' }>,
  emptied: ReadonlySet<string>,
): Map<string, LaidNode> {
  const nodes = new Map<string, LaidNode>()
  const attributesOf = (node: MergedNode): Attributes => {
    if (stock.fat) return node.type === 'directory' ? defaultFolder : defaultFile('file', false)
    if (!node.attributes) return stock.attributes(node.origin!)
    const { mode, uid, gid, xattrs } = node.attributes
    return { mode: node.type === 'symlink' ? 0o777 : mode, uid, gid, xattrs }
  }
  /** Whether anything had to be laid out in or below it. */
  const visit = (folder: MergedNode, path: string): boolean => {
    const origin = folder.origin
    let some = false
    const isEmptied = emptied.has(path) && path !== ''
    if (origin !== undefined && folder.children && !isEmptied) {
      for (const { name } of stock.children(origin)) {
        const there = folder.children.get(foldName(stock.volume, toBytes(name)))
        if (there?.name === toBytes(name) || (path === '' && name === 'lost+found')) continue
        nodes.set(below(path, name), { path: below(path, name), kind: 'whiteout' })
        some = true
      }
    }
    for (const child of folder.children?.values() ?? []) {
      const { node } = child
      if (!node) continue
      const at = below(path, shown(child.name))
      if (node.type !== 'directory' && node.origin !== undefined) continue
      const isNew = node.origin === undefined
      const place = nodes.size
      if (node.type === 'directory') {
        const opaque = isNew || emptied.has(at)
        const laid: LaidNode = { path: at, kind: 'directory', attributes: attributesOf(node), opaque }
        nodes.set(at, laid)
        const inside = visit(node, at)
        if (!isNew && !inside && !node.attributes && !emptied.has(at)) {
          nodes.delete(at)
          continue
        }
        some ||= nodes.size > place
        continue
      }
      some = true
      const isDevice = node.type === 'character' || node.type === 'block'
      // Where devices cannot be made, they are what part_N.mtree says, and are in the image alone.
      if (isDevice && !owners) continue
      const source = contents.get(node)
      nodes.set(at, {
        path: at,
        kind: node.type as Kind,
        attributes: attributesOf(node),
        ...(source && { content: source.sha256, from: source.from }),
        ...(node.target !== undefined && { content: shown(node.target) }),
        ...(node.device && { device: node.device }),
      })
    }
    return some
  }
  visit(tree.root, '')
  return nodes
}
