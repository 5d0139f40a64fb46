/** Compares the edited filesystem with the plan, name by name and byte by byte, by a reader that is not debugfs. */
import { FleetsieError } from '../../errors.ts'
import type { Diff } from '../tree/diff.ts'
import { Fingerprinter } from '../tree/fingerprint.ts'
import { assertRunning } from '../tree/merge.ts'
import type { MergedNode } from '../tree/merged.ts'
import { shown } from '../volume.ts'
import { type Placed, timeOf, type Wanted } from './finish.ts'
import { encodeDevice, encodeTime, hasField, readTime, times } from './inode.ts'
import type { ExtReader } from './reader.ts'

interface Verify {
  before: ExtReader
  after: ExtReader
  diff: Diff
  wanted: readonly Wanted[]
  placed: readonly Placed[]
  inodes: Map<MergedNode, number>
  epoch: number
  what: string
  signal: AbortSignal | undefined
}

export async function verifyExt(given: Verify): Promise<void> {
  const { before, after, what } = given
  const wrong = (why: string): never => {
    throw new FleetsieError('E_STAGE', `${what} does not hold what debugfs was told to write: ${why}`)
  }
  for (const feature of ['compat', 'incompat', 'roCompat'] as const) {
    if (before.superblock[feature] !== after.superblock[feature]) wrong('its features changed')
  }
  verifyNames(given, wrong)
  const named = new Map(given.placed.map(({ creation }) => [creation.node, creation.name]))
  for (const wanted of given.wanted) {
    assertRunning(given.signal)
    const name = named.get(wanted.node)
    verifyInode(after, wanted, given.epoch, (why) =>
      wrong(`${name === undefined ? `inode ${wanted.inode}` : shown(name)}: ${why}`),
    )
    if (wanted.node.content) await verifyContent(after, wanted, (why) => wrong(`${shown(name!)}: ${why}`))
  }
}

function verifyNames({ after, diff, placed, inodes }: Verify, wrong: (why: string) => never): void {
  const expected = new Map<number, Map<string, number>>()
  for (const { id, was, removals } of diff.folders) {
    const names = new Map(was)
    for (const { name } of removals) names.delete(name)
    expected.set(id, names)
  }
  for (const node of diff.created) if (node.type === 'directory') expected.set(inodes.get(node)!, new Map())
  for (const { creation, folder } of placed)
    expected.get(folder)!.set(creation.name, inodes.get(creation.node)!)
  for (const [folder, names] of expected) {
    const found = after.list(folder)
    for (const [name, id] of names)
      if (found.get(name) !== id) wrong(`${JSON.stringify(shown(name))} is missing`)
    for (const name of found.keys())
      if (!names.has(name)) wrong(`${JSON.stringify(shown(name))} should not be there`)
  }
}

function verifyInode(reader: ExtReader, wanted: Wanted, epoch: number, wrong: (why: string) => never): void {
  const { node } = wanted
  const inode = reader.inode(wanted.inode)
  if (inode.type !== node.type) wrong(`is a ${inode.type}`)
  if (wanted.links !== undefined && inode.links !== wanted.links) wrong(`has ${inode.links} links`)
  if (node.target !== undefined && reader.target(wanted.inode) !== node.target) wrong('points elsewhere')
  if (node.device) {
    const words = encodeDevice(node.device.major, node.device.minor)
    if (words.some((word, index) => inode.raw.readUInt32LE(0x28 + index * 4) !== word))
      wrong('has the wrong device number')
  }
  if (!node.attributes) return
  const { mode, uid, gid, mtime, xattrs } = node.attributes
  if (inode.mode !== mode) wrong(`has the mode ${inode.mode.toString(8)}`)
  if (inode.uid !== uid || inode.gid !== gid) wrong(`has the owner ${inode.uid}:${inode.gid}`)
  const wide = hasField(inode, times.mtime.extra)
  const time = encodeTime(timeOf(mtime, epoch), wide)
  const has = encodeTime(readTime(inode, 'mtime'), wide)
  if (has.low !== time.low || has.extra !== time.extra) wrong('has the wrong time')
  const found = reader.xattrs(inode)
  const same =
    found.size === xattrs.size &&
    [...xattrs].every(([name, value]) => found.get(Buffer.from(name).toString('latin1'))?.equals(value))
  if (!same) wrong('has the wrong extended attributes')
}

async function verifyContent(
  reader: ExtReader,
  { node, inode }: Wanted,
  wrong: (why: string) => never,
): Promise<void> {
  const { size } = reader.inode(inode)
  const prints = new Fingerprinter(reader.blockSize)
  let since = 0
  for (const { at, bytes } of reader.pieces(inode)) {
    prints.add(at, bytes)
    since += bytes.length
    if (since < 16 * 1024 * 1024) continue
    since = 0
    // Reading is synchronous: now and then others have their turn.
    await new Promise((resolve) => setImmediate(resolve))
  }
  if (size !== node.content!.size || prints.finish(size).digest !== node.content!.digest)
    wrong('has the wrong content')
}
