/** The last commands: names that wait, owners, modes, times, link counts and extended attributes, by inode number. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Creation, Diff } from '../tree/diff.ts'
import type { MergedNode } from '../tree/merged.ts'
import type { VolumeTime } from '../volume.ts'
import { byNumber } from './addresses.ts'
import type { Command } from './debugfs.ts'
import { encodeDevice, encodeTime, hasField, type Inode, inodeFlags, times } from './inode.ts'
import type { ExtReader } from './reader.ts'
import { inlineDataName } from './xattrs.ts'

const typeBits = {
  fifo: 0x1,
  character: 0x2,
  directory: 0x4,
  block: 0x6,
  file: 0x8,
  symlink: 0xa,
  socket: 0xc,
} as const

/** Where a creation goes. */
export interface Placed {
  creation: Creation
  folder: number
}

/** What an inode has to say in the end. */
export interface Wanted {
  node: MergedNode
  inode: number
  /** Undefined: a folder's, which debugfs counts itself. */
  links: number | undefined
  fresh: boolean
}

export function wantedInodes(
  diff: Diff,
  inodes: Map<MergedNode, number>,
  placed: readonly Placed[],
): Wanted[] {
  const names = new Map<MergedNode, number>()
  for (const { creation } of placed) names.set(creation.node, (names.get(creation.node) ?? 0) + 1)
  const wanted: Wanted[] = []
  for (const node of diff.created) {
    const links = node.type === 'directory' ? undefined : names.get(node)!
    wanted.push({ node, inode: inodes.get(node)!, links, fresh: true })
  }
  for (const node of diff.restyled) wanted.push({ node, inode: node.origin!, links: undefined, fresh: false })
  return wanted
}

/** {0,0} in a layer means "not said". */
export function timeOf(time: VolumeTime, epoch: number): VolumeTime {
  return time.seconds === 0 && time.nanoseconds === 0 ? { seconds: epoch, nanoseconds: 0 } : time
}

/** Only fields that differ from what is there: debugfs has set many of them right. */
export function* fieldCommands(reader: ExtReader, wanted: Wanted, epoch: number): Generator<Command> {
  const inode = reader.inode(wanted.inode)
  const set = (field: string, value: string): Command => ['sif', byNumber(inode.number), field, value]
  const { attributes } = wanted.node
  if (attributes) {
    if (inode.mode !== attributes.mode || inode.type !== wanted.node.type) {
      const mode = (typeBits[wanted.node.type] << 12) | attributes.mode
      yield set('mode', `0${mode.toString(8)}`)
    }
    if (inode.uid !== attributes.uid) yield set('uid', `${attributes.uid}`)
    if (inode.gid !== attributes.gid) yield set('gid', `${attributes.gid}`)
    yield* timeCommands(inode, 'mtime', timeOf(attributes.mtime, epoch))
    yield* timeCommands(inode, 'ctime', { seconds: epoch, nanoseconds: 0 })
  }
  if (wanted.fresh) {
    if (reader.losesInline(inode)) {
      // debugfs skips zeros, and so never moves them out of an inode that cannot hold them: a hole says the same.
      yield ['ea_rm', byNumber(inode.number), inlineDataName]
      yield set('flags', `${inode.flags & ~inodeFlags.inlineData}`)
    }
    yield* timeCommands(inode, 'atime', { seconds: epoch, nanoseconds: 0 })
    yield* timeCommands(inode, 'crtime', { seconds: epoch, nanoseconds: 0 })
  }
  if (wanted.node.device) {
    const words = encodeDevice(wanted.node.device.major, wanted.node.device.minor)
    for (const [index, word] of words.entries()) {
      if (inode.raw.readUInt32LE(0x28 + index * 4) !== word) yield set(`block[${index}]`, `${word}`)
    }
  }
  if (wanted.links !== undefined && inode.links !== wanted.links) yield set('links_count', `${wanted.links}`)
}

function* timeCommands(inode: Inode, which: keyof typeof times, time: VolumeTime): Generator<Command> {
  const at = times[which]
  if (!hasField(inode, at.low)) return
  const wide = hasField(inode, at.extra)
  const { low, extra } = encodeTime(time, wide)
  const lowDiffers = inode.raw.readUInt32LE(at.low) !== low
  // Setting the seconds touches two bits of the other word.
  if (lowDiffers) yield ['sif', byNumber(inode.number), which, `@${low}`]
  if (wide && (lowDiffers || inode.raw.readUInt32LE(at.extra) !== extra)) {
    yield ['sif', byNumber(inode.number), `${which}_extra`, `${extra}`]
  }
}

/** Writes attribute values to files, each value once: only so can they hold any byte. */
export class XattrValues {
  private readonly tmp: string
  private readonly files = new Map<string, string>()

  constructor(tmp: string) {
    this.tmp = tmp
  }

  file(value: Buffer): string {
    const key = value.toString('latin1')
    let name = this.files.get(key)
    if (name === undefined) {
      name = `xattr-${this.files.size}`
      writeFileSync(join(this.tmp, name), value, { flag: 'wx', mode: 0o600 })
      this.files.set(key, name)
    }
    return name
  }
}

export function* xattrCommands(reader: ExtReader, wanted: Wanted, values: XattrValues): Generator<Command> {
  const { attributes } = wanted.node
  if (!attributes) return
  const inode = reader.inode(wanted.inode)
  const has = reader.xattrs(inode)
  for (const name of has.keys()) {
    if (!attributes.xattrs.has(name)) yield ['ea_rm', byNumber(inode.number), name]
  }
  for (const [name, value] of [...attributes.xattrs].sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (has.get(name)?.equals(value)) continue
    yield ['ea_set', '-f', values.file(value), byNumber(inode.number), Buffer.from(name).toString('latin1')]
  }
}
