/** The files of two filesystems beside each other. */
import { inodeFlags } from '../ext/inode.ts'
import { ExtReader } from '../ext/reader.ts'
import type { Volume } from '../volume.ts'
import { sameContent } from '../volume-content.ts'
import { compareTrees, type Judge, type NodeChange } from './compare.ts'
import { VolumeTree } from './tree.ts'

/** Whether the bytes [position, position + length) are the same on both sides, as chunk digests tell. */
export type SameBytes = (position: number, length: number) => boolean

/** `sameBytes` where both filesystems stand at the same place of their disks; contents that it vouches for are not read. */
export function compareVolumes(
  before: Volume,
  after: Volume,
  options: { sameBytes?: SameBytes; times: boolean; within?: string; onFile?: () => void },
): Generator<NodeChange<number, number>> {
  const { sameBytes, times, within, onFile } = options
  const judge: Judge<number, number> = {
    times,
    untouched: () => false,
    sameContent: (a, b) => {
      onFile?.()
      return (
        (sameBytes !== undefined && samePlaces(before, after, a, b, sameBytes)) ||
        sameContent(before, a, after, b)
      )
    },
    ...(within === undefined ? {} : { within }),
  }
  return compareTrees(new VolumeTree(before), new VolumeTree(after), judge)
}

/** Both files lie in the same blocks, and nothing in these blocks differs. */
function samePlaces(before: Volume, after: Volume, a: number, b: number, same: SameBytes): boolean {
  if (!(before instanceof ExtReader && after instanceof ExtReader)) return false
  if (before.blockSize !== after.blockSize) return false
  const [left, right] = [before.inode(a), after.inode(b)]
  // Content in the inode itself has no blocks.
  if (left.flags !== right.flags || left.flags & inodeFlags.inlineData) return false
  const others = after.runs(right)
  for (const run of before.runs(left)) {
    const other = others.next()
    if (other.done) return false
    const { logical, physical, count, unwritten } = other.value
    if (run.logical !== logical || run.physical !== physical || run.count !== count) return false
    if (run.unwritten !== unwritten) return false
    if (!same(physical * before.blockSize, count * before.blockSize)) return false
  }
  return others.next().done === true
}
