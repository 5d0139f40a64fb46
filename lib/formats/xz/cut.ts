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
  | { kind: 'copy'; offset: number; length: number; block: number }
  | { kind: 'encode'; offset: number; length: number; grid: number }

/** Small, so that an edit costs little; larger ones would compress better. */
export const editGrid = 1024 * 1024
/** For what no stock block can stand for: 2 % larger than one block for all, but decoded in parallel. */
export const wholeGrid = 16 * 1024 * 1024
/** A larger stock block is never taken over: nobody could decode or edit the result in parallel. */
export const maxStockBlock = 64 * 1024 * 1024

/** Covers [0, size) without gap or overlap, in order. `touched` tells whether a range differs from the stock. */
export function cut(
  size: number,
  stock: StockIndex | undefined,
  touched: (offset: number, length: number) => boolean,
): Piece[] {
  const pieces: Piece[] = []
  const encode = (from: number, to: number, grid: number): void => {
    // The grid is the disk's, not the block's: the same content is cut alike whatever surrounds it.
    for (let at = from; at < to; ) {
      const end = Math.min(to, (Math.floor(at / grid) + 1) * grid)
      pieces.push({ kind: 'encode', offset: at, length: end - at, grid })
      at = end
    }
  }
  let at = 0
  for (const [block, { uncompressed: length }] of (stock?.blocks ?? []).entries()) {
    if (at >= size) break
    const end = at + length
    if (length === 0) continue
    if (length > maxStockBlock) encode(at, Math.min(end, size), wholeGrid)
    else if (end > size || touched(at, length)) encode(at, Math.min(end, size), editGrid)
    else pieces.push({ kind: 'copy', offset: at, length, block })
    at = end
  }
  encode(at, size, wholeGrid)
  return pieces
}
