/** Makes a layer of what a run left: only what really differs from the image, in a form that does not depend on the run. */
import type { FileHandle } from 'node:fs/promises'
import { FleetsieError } from '../../errors.ts'
import { compareEntries, type LayerEntry, type LayerInput } from '../../formats/layer.ts'
import { foldName, shown, toBytes, type Volume } from '../volume.ts'
import { dataExtents, readRange } from './content.ts'
import { isNoise } from './noise.ts'
import { sameNode } from './same.ts'
import type { UpperNode } from './upper.ts'

export interface Run {
  /** The image's filesystem, before the run. */
  volume: Volume
  upper: ReadonlyMap<string, UpperNode>
  /** The tar file that `upper` was read from. */
  tar: FileHandle
  /** `upper` holds everything, not just changes; owners and modes say nothing. */
  fat: boolean
  /** Noise is looked for here only. */
  isRoot: boolean
  /** What the run itself needed: paths with the content that was put there. */
  ours: ReadonlyMap<string, Buffer | 'folder'>
  /** Seconds since 1970. A time from here on is that of the run, and not said in the layer. */
  unsaidFrom: number
}

type File = UpperNode & { type: 'file' }

/** The entries of the layer in its order. Fails with E_INPUT for what the filesystem cannot hold. */
export async function changedEntries(run: Run): Promise<LayerInput[]> {
  const found = await new Comparison(run).all()
  return found.sort((a, b) => compareEntries(a.entry, b.entry))
}

class Comparison {
  private readonly run: Run
  private readonly children = new Map<string, Map<string, UpperNode>>()
  private readonly removed: LayerEntry[] = []
  private readonly changed = new Map<string, UpperNode>()

  constructor(run: Run) {
    this.run = run
    for (const node of run.upper.values()) {
      const slash = node.path.lastIndexOf('/')
      const folder = node.path.slice(0, Math.max(slash, 0))
      const names = this.children.get(folder) ?? new Map<string, UpperNode>()
      this.children.set(folder, names.set(node.path.slice(slash + 1), node))
    }
  }

  async all(): Promise<LayerInput[]> {
    const { volume, fat } = this.run
    await this.folder('', volume.rootId, fat)
    const inputs: LayerInput[] = this.removed.map((entry) => ({ entry }))
    const links = this.linkTargets()
    for (const node of this.changed.values()) inputs.push(await this.input(node, links))
    return inputs
  }

  /** `whole`: what the image has and `upper` has not is gone. */
  private async folder(path: string, lower: number | undefined, whole: boolean): Promise<void> {
    const { volume } = this.run
    const names = this.children.get(path) ?? new Map<string, UpperNode>()
    const below = lower === undefined ? new Map<string, number>() : volume.list(lower)
    const byKey = new Map([...below].map(([name, id]) => [foldName(volume, name), { name, id }]))
    const seen = new Set<string>()
    for (const [name, node] of names) {
      const key = foldName(volume, toBytes(name))
      if (seen.has(key))
        throw refused(node.path, 'is a second name that differs only in case: on FAT they are one')
      seen.add(key)
      const there = byKey.get(key)
      const sameName = there === undefined || there.name === toBytes(name)
      await this.child(node, there?.id, sameName, whole)
    }
    if (!whole) return
    for (const [key, { name }] of byKey) {
      if (seen.has(key) || (path === '' && name === 'lost+found')) continue
      this.remove(path === '' ? shown(name) : `${path}/${shown(name)}`)
    }
  }

  private async child(
    node: UpperNode,
    lower: number | undefined,
    sameName: boolean,
    whole: boolean,
  ): Promise<void> {
    const { volume, fat, isRoot } = this.run
    if (node.type === 'whiteout') {
      if (lower !== undefined) this.remove(node.path)
      return
    }
    if (fat && node.type !== 'file' && node.type !== 'directory') {
      throw refused(node.path, `is a ${node.type}, which FAT cannot hold`)
    }
    if (await this.isOurs(node, lower)) return
    // A folder that the image has is looked into: removals in it count.
    if (isRoot && (node.type !== 'directory' || lower === undefined) && isNoise(node.path)) return
    const same = lower !== undefined && sameName && (await sameNode(this.run, node, lower))
    if (!same) this.changed.set(node.path, node)
    if (node.type !== 'directory') return
    const type = lower === undefined ? undefined : volume.node(lower).type
    // A folder over a link would be laid over what the link leads to.
    if (type === 'symlink') this.remove(node.path)
    await this.folder(node.path, type === 'directory' ? lower : undefined, whole || node.opaque)
  }

  private remove(path: string): void {
    this.removed.push({ type: 'whiteout', path })
  }

  private async isOurs(node: UpperNode, lower: number | undefined): Promise<boolean> {
    const ours = this.run.ours.get(node.path)
    if (ours === undefined) return false
    if (ours === 'folder') {
      return lower === undefined && node.type === 'directory' && !this.children.has(node.path)
    }
    if (node.type !== 'file' || node.size !== ours.length) return false
    const parts: Buffer[] = []
    for await (const part of readRange(this.run.tar, node.contentAt, node.size)) parts.push(part)
    return Buffer.concat(parts).equals(ours)
  }

  /** For each inode of which a name is in the layer, the name that is the file: all names come with it. */
  private linkTargets(): Map<string, string> {
    const groups = new Map<string, File[]>()
    for (const node of this.run.upper.values()) {
      if (node.type !== 'file') continue
      groups.set(node.inode, [...(groups.get(node.inode) ?? []), node])
    }
    const targets = new Map<string, string>()
    for (const [inode, nodes] of groups) {
      if (nodes.length < 2 || !nodes.some(({ path }) => this.changed.has(path))) continue
      const named = nodes.filter(({ path }) => !this.run.isRoot || !isNoise(path))
      for (const node of named) this.changed.set(node.path, node)
      const first = named.map((node) => entryOf(node, this.run)).sort(compareEntries)[0]!
      targets.set(inode, first.path)
    }
    return targets
  }

  private async input(node: UpperNode, links: ReadonlyMap<string, string>): Promise<LayerInput> {
    const entry = entryOf(node, this.run)
    if (node.type !== 'file' || entry.type !== 'file') return { entry }
    const target = links.get(node.inode)
    if (target !== undefined && target !== node.path && !this.run.fat) {
      return { entry: { ...attributesOf(node, this.run), type: 'hardlink', target } }
    }
    const { tar } = this.run
    const extents = await dataExtents(tar, node.contentAt, node.size)
    const content = readRange(tar, node.contentAt, node.size, extents)
    return { entry: extents ? { ...entry, extents } : entry, content }
  }
}

function entryOf(node: UpperNode, run: Run): LayerEntry {
  const attributes = attributesOf(node, run)
  switch (node.type) {
    case 'file':
      return { ...attributes, type: 'file', size: node.size }
    case 'directory':
    case 'fifo':
      return { ...attributes, type: node.type }
    case 'symlink':
      return { ...attributes, type: 'symlink', target: node.target }
    case 'character':
    case 'block':
      return { ...attributes, type: node.type, major: node.major, minor: node.minor }
    case 'whiteout':
      return { type: 'whiteout', path: node.path }
  }
}

function attributesOf({ path, mode, uid, gid, mtime, xattrs, type }: UpperNode, { fat, unsaidFrom }: Run) {
  const time = mtime.seconds >= unsaidFrom ? { seconds: 0, nanoseconds: 0 } : mtime
  if (fat) {
    return {
      path,
      mode: type === 'directory' ? 0o755 : 0o644,
      uid: 0,
      gid: 0,
      mtime: time,
      xattrs: new Map(),
    }
  }
  return { path, mode: type === 'symlink' ? 0o777 : mode, uid, gid, mtime: time, xattrs }
}

function refused(path: string, why: string): FleetsieError {
  return new FleetsieError(
    'E_INPUT',
    `what the script left in the boot partition, ${JSON.stringify(path)}, ${why}`,
  )
}
