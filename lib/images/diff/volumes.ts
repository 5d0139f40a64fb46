/** The files of two filesystems beside each other. */
import { inodeFlags } from '../ext/inode.ts'
import { ExtReader } from '../ext/reader.ts'
import { chunkSize } from '../image.ts'
import type { Volume } from '../volume.ts'
import { compareTrees, type Judge, type NodeChange } from './compare.ts'
import { VolumeTree } from './tree.ts'

/** Whether the bytes [position, position + length) are the same on both sides, as chunk digests tell. */
export type SameBytes = (position: number, length: number) => boolean

const step = chunkSize

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
        sameContent(before, after, a, b)
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

function sameContent(before: Volume, after: Volume, a: number, b: number): boolean {
  const { size } = before.node(a)
  const [left, right] = [new Steps(before, a), new Steps(after, b)]
  for (let at = 0; at < size; at += step) if (!left.next(at).equals(right.next(at))) return false
  return true
}

/** A file in steps of equal length, whatever pieces it is stored in; memory: two steps. */
class Steps {
  private readonly pieces: Generator<{ at: number; bytes: Buffer }>
  private readonly buffer = Buffer.alloc(step)
  private piece: { at: number; bytes: Buffer } | undefined

  constructor(volume: Volume, id: number) {
    this.pieces = volume.pieces(id)
    this.advance()
  }

  next(at: number): Buffer {
    this.buffer.fill(0)
    while (this.piece && this.piece.at < at + step) {
      const { at: start, bytes } = this.piece
      const from = Math.max(at, start)
      const to = Math.min(at + step, start + bytes.length)
      if (to > from) bytes.copy(this.buffer, from - at, from - start, to - start)
      if (start + bytes.length > at + step) break
      this.advance()
    }
    return this.buffer
  }

  private advance(): void {
    const next = this.pieces.next()
    this.piece = next.done ? undefined : next.value
  }
}
