/** A tree of files as a comparison sees it: a filesystem, or one with layers over it. */
import { deviceOf } from '../ext/inode.ts'
import { ExtReader } from '../ext/reader.ts'
import type { MergedNode, MergedTree } from '../tree/merged.ts'
import { foldName, type NodeType, type Volume, type VolumeTime } from '../volume.ts'

export interface FileState {
  type: NodeType
  mode: number
  uid: number
  gid: number
  /** Bytes; 0 of what is no file. */
  size: number
  mtime: VolumeTime
  xattrs: Map<string, Buffer>
  /** Bytes as latin1. */
  target?: string
  device?: { major: number; minor: number }
}

export interface Tree<Node> {
  readonly root: Node
  isFolder(node: Node): boolean
  /** By the key under which the filesystem finds a name. */
  children(folder: Node): Map<string, { name: string; node: Node }>
  state(node: Node): FileState
}

/** The files of a filesystem as they are. A node is its number there. */
export class VolumeTree implements Tree<number> {
  readonly root: number
  readonly volume: Volume

  constructor(volume: Volume) {
    this.volume = volume
    this.root = volume.rootId
  }

  isFolder(id: number): boolean {
    return this.volume.node(id).type === 'directory'
  }

  children(id: number): Map<string, { name: string; node: number }> {
    const found = new Map<string, { name: string; node: number }>()
    for (const [name, node] of this.volume.list(id)) found.set(foldName(this.volume, name), { name, node })
    return found
  }

  state(id: number): FileState {
    const { type, mode, uid, gid, size, mtime } = this.volume.node(id)
    const state: FileState = {
      type,
      mode,
      uid,
      gid,
      mtime,
      size: type === 'file' ? size : 0,
      xattrs: new Map(),
    }
    if (this.volume instanceof ExtReader) {
      const inode = this.volume.inode(id)
      state.xattrs = this.volume.xattrs(inode)
      if (type === 'character' || type === 'block') state.device = deviceOf(inode)
    }
    if (type === 'symlink') state.target = this.volume.target(id)
    return state
  }
}

/** A filesystem with layers over it. */
export class LayeredTree implements Tree<MergedNode> {
  readonly root: MergedNode
  readonly tree: MergedTree
  private readonly below: VolumeTree

  constructor(tree: MergedTree) {
    this.tree = tree
    this.root = tree.root
    this.below = new VolumeTree(tree.volume)
  }

  isFolder(node: MergedNode): boolean {
    return node.type === 'directory'
  }

  children(folder: MergedNode): Map<string, { name: string; node: MergedNode }> {
    const found = new Map<string, { name: string; node: MergedNode }>()
    for (const [key, child] of this.tree.children(folder)) {
      found.set(key, { name: child.name, node: this.tree.nodeOf(child) })
    }
    return found
  }

  state({ type, origin, attributes, content, target, device }: MergedNode): FileState {
    if (origin !== undefined) {
      const { foldsCase } = this.tree.volume
      return { ...this.below.state(origin), ...(attributes && !foldsCase ? attributes : {}) }
    }
    return {
      // FAT keeps none of these.
      ...(this.tree.volume.foldsCase ? { ...attributes!, mode: 0o755, uid: 0, gid: 0 } : attributes!),
      type,
      size: content?.size ?? 0,
      ...(target === undefined ? {} : { target }),
      ...(device === undefined ? {} : { device }),
    }
  }
}
