/** The one order of a layer's entries. */
import type { LayerEntry } from './entry.ts'

/** The order of the UTF-8 bytes, which is that of code points and not that of UTF-16. */
export function compareText(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const difference = a.charCodeAt(i) - b.charCodeAt(i)
    if (difference !== 0) return rank(a.charCodeAt(i)) - rank(b.charCodeAt(i))
  }
  return a.length - b.length
}

/** Surrogates stand for the code points above all others. */
function rank(unit: number): number {
  if (unit >= 0xe000) return unit - 0x800
  return unit >= 0xd800 ? unit + 0x2000 : unit
}

/** Where a name stands among its brothers: what takes away comes before what puts there. */
const classOf = (entry: LayerEntry): number =>
  entry.type === 'opaque' ? 0 : entry.type === 'whiteout' ? 1 : 2

/**
 * For sort(): a folder before all below it, then everything below it before its next brother; names by bytes;
 * a folder's opaque mark and whiteouts before its other children.
 */
export function compareEntries(a: LayerEntry, b: LayerEntry): number {
  const left = a.path === '' ? [] : a.path.split('/')
  const right = b.path === '' ? [] : b.path.split('/')
  // The mark is a child of the folder that it empties.
  if (a.type === 'opaque') left.push('')
  if (b.type === 'opaque') right.push('')
  const length = Math.min(left.length, right.length)
  for (let i = 0; i < length; i++) {
    const leftClass = i === left.length - 1 ? classOf(a) : 2
    const rightClass = i === right.length - 1 ? classOf(b) : 2
    const order = leftClass - rightClass || compareText(left[i]!, right[i]!)
    if (order !== 0) return order
  }
  return left.length - right.length
}
