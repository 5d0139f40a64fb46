/**
 * Where the blocks of a new .xz begin and end. A pure function of the stock's index, the size and what was
 * touched, so that a build from nothing and one after an edit give the same bytes.
 */
import type { CheckId } from './check.ts'

/** What is kept of a stock .img.xz to take its blocks over. All its streams have the same check. */
export interface StockIndex {
  check: CheckId
  blocks: readonly { offset: number; unpadded: number; uncompressed: number }[]
}

/** Part of the disk: [offset, offset + length) in bytes. */
export type Piece =
  /** A block of the stock, whole. */
  | { kind: 'copy'; offset: number; length: number; block: number }
  /** Part of a block of the stock in which nothing changed. */
  | { kind: 'recode'; offset: number; length: number; block: number }
  | { kind: 'encode'; offset: number; length: number; touched: boolean }

/** Whether any byte of a range may differ from the stock image, which goes on with zeros after its end. */
export type Touched = (offset: number, length: number) => boolean

/** What is touched is told, and compressed, in pieces of so many bytes of the disk: an edit costs a few milliseconds. */
export const touchedGrain = 64 * 1024
/**
 * For what nothing touched next to what something did, and for what was written whole, such as installed packages:
 * compressed once. Pieces of 64 KiB would be larger by half; larger ones cost more than they save.
 */
export const cleanGrain = 1024 * 1024
/** For what no stock block stands for: 2 % larger than one block for all, but coded in parallel. */
export const virtualBlock = 16 * 1024 * 1024
/** A larger stock block is never taken over: nobody could decode or edit the result in parallel. */
export const maxStockBlock = 64 * 1024 * 1024
/** Shorter clean runs are encoded. Measured: recoded they are 11 % larger at 128 KiB, 7 % at 256 KiB, 4 % at 2 MiB. */
export const minRecoded = 256 * 1024

/**
 * Covers [0, size) without gap or overlap, in order. `recodable` tells of which stock blocks parts can be taken over;
 * it is asked for touched ones only.
 */
export function cut(
  size: number,
  stock: StockIndex | undefined,
  touched: Touched,
  recodable: (block: number) => boolean,
): Piece[] {
  const pieces: Piece[] = []

  // Grids are the disk's, not the block's: the same content is cut alike whatever surrounds it.
  const encode = (from: number, to: number, grid: number, touched: boolean): void => {
    for (const [offset, end] of cells(from, to, grid)) {
      pieces.push({ kind: 'encode', offset, length: end - offset, touched })
    }
  }
  const edit = (from: number, to: number, clean: (from: number, to: number) => void): void => {
    let cleanFrom = from
    const changed = (offset: number, end: number, grid: number): void => {
      if (cleanFrom < offset) clean(cleanFrom, offset)
      encode(offset, end, grid, true)
      cleanFrom = end
    }
    for (const [first, last] of cells(from, to, cleanGrain)) {
      const pieces = [...cells(first, last, touchedGrain)]
      const all = last - first === cleanGrain && pieces.every(([at, end]) => touched(at, end - at))
      if (all) changed(first, last, cleanGrain)
      else for (const [at, end] of pieces) if (touched(at, end - at)) changed(at, end, touchedGrain)
    }
    if (cleanFrom < to) clean(cleanFrom, to)
  }
  const encodeClean = (from: number, to: number): void => encode(from, to, cleanGrain, false)
  const virtual = (from: number, to: number): void => {
    for (const [offset, end] of cells(from, to, virtualBlock)) {
      if (touched(offset, end - offset)) edit(offset, end, encodeClean)
      else encode(offset, end, virtualBlock, false)
    }
  }

  let at = 0
  for (const [block, { uncompressed: length }] of (stock?.blocks ?? []).entries()) {
    if (at >= size) break
    if (length === 0) continue
    const end = at + length
    if (length > maxStockBlock || end > size) virtual(at, Math.min(end, size))
    else if (!touched(at, length)) pieces.push({ kind: 'copy', offset: at, length, block })
    else if (!recodable(block)) edit(at, end, encodeClean)
    else {
      edit(at, end, (from, to) => {
        if (to - from < minRecoded) encodeClean(from, to)
        else pieces.push({ kind: 'recode', offset: from, length: to - from, block })
      })
    }
    at = end
  }
  virtual(at, size)
  return pieces
}

/** The parts of [from, to) that lie between multiples of `grid`. */
function* cells(from: number, to: number, grid: number): Generator<[number, number]> {
  for (let at = from; at < to; ) {
    const end = Math.min(to, (Math.floor(at / grid) + 1) * grid)
    yield [at, end]
    at = end
  }
}
