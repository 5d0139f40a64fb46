/** Where an ext inode's content is: extent trees and the older block maps. */
import { FleetsieError } from '../../errors.ts'
import type { Inode } from './inode.ts'
import { inodeFlags } from './inode.ts'

export interface BlockRun {
  /** First block within the file. */
  logical: number
  /** First block within the filesystem. */
  physical: number
  count: number
  /** Reserved but never written: reads as zeros. */
  unwritten: boolean
}

interface Source {
  blockSize: number
  blocks: number
  readBlock(block: number): Buffer
}

/** The runs in order; `onIndex` hears of every block that holds the map itself. */
export function* blockRuns(
  source: Source,
  inode: Inode,
  onIndex?: (block: number) => void,
): Generator<BlockRun> {
  const end = Math.ceil(inode.size / source.blockSize)
  const map = inode.raw.subarray(0x28, 0x64)
  const all =
    inode.flags & inodeFlags.extents
      ? extents(source, inode, map, { depth: 5, from: 0, to: 2 ** 32 }, onIndex)
      : mapped(source, map, end, onIndex)
  for (const run of all) {
    if (run.physical <= 0 || run.physical + run.count > source.blocks) {
      throw broken(inode, `block ${run.physical} is outside the filesystem`)
    }
    yield run
  }
}

/** What a node of the tree may hold: depth at most, and blocks of the file, `to` excluded. */
interface Bounds {
  depth: number
  from: number
  to: number
}

/**
 * Each entry begins behind the one before it and within what its parent says. Without that a tree of a few blocks could
 * name them again and again: 340 to the power of 5 times.
 */
function* extents(
  source: Source,
  inode: Inode,
  node: Buffer,
  bounds: Bounds,
  onIndex?: (block: number) => void,
): Generator<BlockRun> {
  if (node.readUInt16LE(0) !== 0xf30a) throw broken(inode, 'its extent tree has no head')
  const entries = node.readUInt16LE(2)
  const depth = node.readUInt16LE(6)
  const end = 12 + entries * 12
  if (depth > bounds.depth || end > node.length || (depth > 0 && entries === 0))
    throw broken(inode, 'its extent tree is impossible')
  let next = bounds.from
  for (let at = 12; at < end; at += 12) {
    const logical = node.readUInt32LE(at)
    if (logical < next || logical >= bounds.to) throw broken(inode, 'its extent tree is out of order')
    if (depth > 0) {
      const child = node.readUInt32LE(at + 4) + node.readUInt16LE(at + 8) * 2 ** 32
      if (child >= source.blocks) throw broken(inode, `block ${child} is outside the filesystem`)
      onIndex?.(child)
      next = logical + 1
      const to = at + 12 < end ? node.readUInt32LE(at + 12) : bounds.to
      yield* extents(source, inode, source.readBlock(child), { depth: depth - 1, from: logical, to }, onIndex)
    } else {
      const length = node.readUInt16LE(at + 4)
      // A length above 32,768 marks an extent that was never written.
      const count = length > 32768 ? length - 32768 : length
      if (count === 0) throw broken(inode, 'its extent tree has an empty extent')
      yield {
        logical,
        physical: node.readUInt32LE(at + 8) + node.readUInt16LE(at + 6) * 2 ** 32,
        count,
        unwritten: length > 32768,
      }
      next = logical + count
    }
  }
}

function* mapped(
  source: Source,
  map: Buffer,
  end: number,
  onIndex?: (block: number) => void,
): Generator<BlockRun> {
  const perBlock = source.blockSize / 4
  let run: BlockRun | undefined
  for (const [logical, physical] of pointers()) {
    if (run && run.logical + run.count === logical && run.physical + run.count === physical) {
      run.count++
    } else {
      if (run) yield run
      run = { logical, physical, count: 1, unwritten: false }
    }
  }
  if (run) yield run

  function* pointers(): Generator<[number, number]> {
    for (let i = 0; i < 12; i++) if (map.readUInt32LE(i * 4)) yield [i, map.readUInt32LE(i * 4)]
    let first = 12
    for (let level = 1; level <= 3; level++) {
      yield* indirect(map.readUInt32LE((11 + level) * 4), level, first)
      first += perBlock ** level
    }
  }
  function* indirect(block: number, level: number, first: number): Generator<[number, number]> {
    if (block === 0 || block >= source.blocks || first >= end) return
    onIndex?.(block)
    const bytes = source.readBlock(block)
    for (let i = 0; i < perBlock; i++) {
      const pointer = bytes.readUInt32LE(i * 4)
      if (pointer === 0) continue
      if (level === 1) yield [first + i, pointer]
      else yield* indirect(pointer, level - 1, first + i * perBlock ** (level - 1))
    }
  }
}

function broken(inode: Inode, what: string): FleetsieError {
  return new FleetsieError('E_DAMAGED', `inode ${inode.number}: ${what}`)
}
