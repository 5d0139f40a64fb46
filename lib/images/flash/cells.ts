/** What of each chunk goes to a card: the mapped bytes that lie in one of its areas. */
import type { ByteRange } from '../byte-ranges.ts'
import { chunkSize } from '../image.ts'
import type { PartitionTable } from '../partition-table.ts'
import type { Area } from './types.ts'

export interface Part extends ByteRange {
  /** Number of the area. */
  area: number
  /** Written last, so that a half-written card neither boots nor mounts. */
  head: boolean
}

/** Of one chunk; its parts ascend. Offsets are bytes of the image. */
export interface Cell {
  chunk: number
  parts: Part[]
  /** Bytes of all parts. */
  length: number
  /** Whether it is one part, the chunk and nothing less: then its digest is the chunk's. */
  whole: boolean
}

/** MBR, boot sectors and superblocks lie in it, and the second ones of FAT32 and F2FS. */
const headLength = 8192
/** Where btrfs has its superblock, bytes from the partition's start. */
const btrfsSuperblock = 65_536

/** The cells of an image of `size` bytes, ascending. `areas` must not overlap. */
export function cellsOf(
  areas: readonly Area[],
  mapped: readonly ByteRange[],
  table: PartitionTable,
  size: number,
): Cell[] {
  const cells = new Map<number, Cell>()
  for (const [number, { image }] of areas.entries()) {
    const heads = headsOf(image, table)
    for (const range of overlap(mapped, [image])) {
      for (const { offset, length, head } of cutAt(range, heads)) {
        addParts(cells, { offset, length, head, area: number })
      }
    }
  }
  const sorted = [...cells.values()].sort((a, b) => a.chunk - b.chunk)
  for (const cell of sorted) {
    cell.parts.sort((a, b) => a.offset - b.offset)
    const full = Math.min(chunkSize, size - cell.chunk * chunkSize)
    cell.whole = cell.parts.length === 1 && cell.length === full && !cell.parts[0]!.head
  }
  return sorted
}

/** Where both lie. Each ascends and is apart in itself. */
export function* overlap(a: readonly ByteRange[], b: readonly ByteRange[]): Generator<ByteRange> {
  let next = 0
  for (const one of a) {
    const end = one.offset + one.length
    while (next < b.length && b[next]!.offset + b[next]!.length <= one.offset) next++
    for (let i = next; i < b.length && b[i]!.offset < end; i++) {
      const offset = Math.max(one.offset, b[i]!.offset)
      yield { offset, length: Math.min(end, b[i]!.offset + b[i]!.length) - offset }
    }
  }
}

function headsOf(area: ByteRange, table: PartitionTable): ByteRange[] {
  const starts = [area.offset]
  const partition = table.partitions.find(({ offset }) => offset === area.offset)
  if (partition?.filesystem === 'btrfs') starts.push(area.offset + btrfsSuperblock)
  return starts.map((offset) => ({ offset, length: headLength }))
}

function* cutAt(
  { offset, length }: ByteRange,
  heads: readonly ByteRange[],
): Generator<ByteRange & { head: boolean }> {
  let at = offset
  for (const head of overlap(heads, [{ offset, length }])) {
    if (head.offset > at) yield { offset: at, length: head.offset - at, head: false }
    yield { ...head, head: true }
    at = head.offset + head.length
  }
  if (at < offset + length) yield { offset: at, length: offset + length - at, head: false }
}

function addParts(cells: Map<number, Cell>, { offset, length, head, area }: Part): void {
  const end = offset + length
  for (let at = offset; at < end; ) {
    const chunk = Math.floor(at / chunkSize)
    const stop = Math.min(end, (chunk + 1) * chunkSize)
    let cell = cells.get(chunk)
    if (!cell) {
      cell = { chunk, parts: [], length: 0, whole: false }
      cells.set(chunk, cell)
    }
    cell.parts.push({ offset: at, length: stop - at, area, head })
    cell.length += stop - at
    at = stop
  }
}
