/** What the tree will be: the image's files as they are, and over them what the layers say. */
import { FleetsieError } from '../../errors.ts'
import type { LayerAttributes, LayerTime } from '../../formats/layer/entry.ts'
import { foldName, type NodeType, shown, type Volume } from '../volume.ts'
import type { Staged } from './staging.ts'

export interface Attributes {
  mode: number
  uid: number
  gid: number
  mtime: LayerTime
  xattrs: Map<string, Buffer>
}

export interface MergedNode {
  type: NodeType
  /** Its id in the image, if it is there already. */
  origin?: number
  /** What a layer says; nothing: as the image has it. */
  attributes?: Attributes
  content?: Staged
  /** Bytes as latin1. */
  target?: string
  device?: { major: number; minor: number }
  /** Of a folder, once somebody asked for them. */
  children?: Map<string, MergedChild>
}

export interface MergedChild {
  /** Bytes as latin1; the map's key is the name folded. */
  name: string
  /** Of what the image has there, while no layer says otherwise. */
  id?: number
  /** Missing as long as nobody needed to look at `id`: a folder may have thousands. */
  node?: MergedNode
}

const impliedFolder: Attributes = {
  mode: 0o755,
  uid: 0,
  gid: 0,
  mtime: { seconds: 0, nanoseconds: 0 },
  xattrs: new Map(),
}
/** As Linux has it. */
const maxLinks = 40

export class MergedTree {
  readonly root: MergedNode
  readonly volume: Volume
  private readonly fromImage = new Map<number, MergedNode>()

  constructor(volume: Volume) {
    this.volume = volume
    this.root = this.imageNode(volume.rootId)
  }

  private imageNode(id: number): MergedNode {
    let node = this.fromImage.get(id)
    if (node === undefined) {
      node = { type: this.volume.node(id).type, origin: id }
      this.fromImage.set(id, node)
    }
    return node
  }

  children(folder: MergedNode): Map<string, MergedChild> {
    if (folder.children === undefined) {
      folder.children = new Map()
      if (folder.origin !== undefined) {
        for (const [name, id] of this.volume.list(folder.origin)) {
          folder.children.set(foldName(this.volume, name), { name, id })
        }
      }
    }
    return folder.children
  }

  child(folder: MergedNode, name: string): MergedNode | undefined {
    const child = this.children(folder).get(foldName(this.volume, name))
    return child && this.nodeOf(child)
  }

  nodeOf(child: MergedChild): MergedNode {
    child.node ??= this.imageNode(child.id!)
    return child.node
  }

  targetOf(node: MergedNode): string {
    return node.target ?? this.volume.target(node.origin!)
  }

  /**
   * Follows `path` from `start`, links included; an absolute target and '..' stay inside the image.
   * `missing` decides what happens where a name is not there.
   */
  resolve(path: string, missing: 'fail' | 'create' | 'nothing', whole = path): MergedNode | undefined {
    const trail: MergedNode[] = [this.root]
    const waiting = path
      .split('/')
      .reverse()
      .map((name) => ({ name, ofLink: false }))
    let links = 0
    while (waiting.length > 0) {
      const { name, ofLink } = waiting.pop()!
      if (name === '' || name === '.') continue
      if (name === '..') {
        if (trail.length > 1) trail.pop()
        continue
      }
      const here = trail[trail.length - 1]!
      if (here.type !== 'directory') return this.noFolder(missing, whole)
      const found = this.child(here, name)
      if (found === undefined) {
        if (missing === 'nothing') return undefined
        // What a link names is not created: a link that leads nowhere is more likely a mistake.
        if (missing === 'fail' || ofLink) throw new FleetsieError('E_INPUT', lost(whole, name))
        const node: MergedNode = { type: 'directory', attributes: impliedFolder, children: new Map() }
        this.put(here, name, node)
        trail.push(node)
      } else if (found.type === 'symlink') {
        if (++links > maxLinks) {
          if (missing === 'nothing') return undefined
          throw new FleetsieError('E_INPUT', `${shown(whole)}: too many links, one leads back to itself`)
        }
        const target = this.targetOf(found)
        if (target.startsWith('/')) trail.length = 1
        for (const part of target.split('/').reverse()) waiting.push({ name: part, ofLink: true })
      } else {
        trail.push(found)
      }
    }
    return trail[trail.length - 1]!
  }

  private noFolder(missing: 'fail' | 'create' | 'nothing', whole: string): undefined {
    if (missing === 'nothing') return undefined
    throw new FleetsieError('E_INPUT', `${shown(whole)}: a part of this path is a file, not a folder`, {
      hint: 'a whiteout (.wh.NAME) removes the file first',
    })
  }

  put(folder: MergedNode, name: string, node: MergedNode): void {
    const key = foldName(this.volume, name)
    const children = this.children(folder)
    // Deleted first: the name's bytes may differ where case is folded.
    children.delete(key)
    children.set(key, { name, node })
  }

  remove(folder: MergedNode, name: string): void {
    this.children(folder).delete(foldName(this.volume, name))
  }
}

export function attributesOf(entry: LayerAttributes): Attributes {
  const { mode, uid, gid, mtime, xattrs } = entry
  return { mode, uid, gid, mtime, xattrs }
}

function lost(whole: string, name: string): string {
  return `${shown(whole)}: ${shown(name)} does not exist in the image`
}
