/**
 * Sparse files: GNU's pax format 1.0 (written and read) and the old format in a member of type S (read).
 * Source: GNU tar manual, "Storing Sparse Files" and "Basic Tar Format".
 */
import { FleetsieError } from '../../errors.ts'
import type { Extent } from '../layer/entry.ts'
import { blockSize } from './header.ts'
import { tarLimits } from './limits.ts'
import { decodeNumber } from './numbers.ts'

export type NextBlock = () => Promise<Buffer>

/** Reads the map in front of a 1.0 member's data. E_DAMAGED. */
export async function readSparseMap(
  next: NextBlock,
  where: string,
): Promise<{ extents: Extent[]; bytes: number }> {
  let block = await next()
  let bytes = block.length
  let at = 0
  const number = async (): Promise<number> => {
    let digits = ''
    for (;;) {
      if (at === block.length) {
        block = await next()
        bytes += block.length
        at = 0
      }
      const character = String.fromCharCode(block[at++]!)
      if (character === '\n' && digits !== '') break
      if (character < '0' || character > '9' || digits.length > 15) {
        throw new FleetsieError(
          'E_DAMAGED',
          `${where}: the map of the sparse file holds something that is no number`,
        )
      }
      digits += character
    }
    return Number(digits)
  }
  const count = await number()
  checkCount(count, where)
  const extents: Extent[] = []
  for (let i = 0; i < count; i++) extents.push({ offset: await number(), length: await number() })
  return { extents, bytes }
}

/** Reads the old form's map: four ranges in the header, then blocks of 21. E_DAMAGED. */
export async function readOldSparseMap(
  header: Buffer,
  next: NextBlock,
  where: string,
): Promise<{ extents: Extent[]; size: number }> {
  const extents = oldRanges(header, 386, 4, where)
  for (let more = header[482] !== 0; more; ) {
    const block = await next()
    extents.push(...oldRanges(block, 0, 21, where))
    checkCount(extents.length, where)
    more = block[504] !== 0
  }
  return { extents, size: decodeNumber(header.subarray(483, 495), `${where}: the real size`) }
}

function oldRanges(block: Buffer, start: number, count: number, where: string): Extent[] {
  const ranges: Extent[] = []
  for (let at = start; at < start + count * 24 && block[at] !== 0; at += 24) {
    const offset = decodeNumber(block.subarray(at, at + 12), `${where}: a sparse range's offset`)
    const length = decodeNumber(block.subarray(at + 12, at + 24), `${where}: a sparse range's length`)
    ranges.push({ offset, length })
  }
  return ranges
}

function checkCount(count: number, where: string): void {
  if (count <= tarLimits.extents) return
  throw new FleetsieError(
    'E_DAMAGED',
    `${where}: a sparse file of ${count} ranges; ${tarLimits.extents} is the limit`,
  )
}

/**
 * Checks ranges against the file's size and brings them into one form: in order, none empty, none touching.
 * Nothing when they cover the whole file, which then is not sparse. `fail` makes the error.
 */
export function normaliseExtents(
  extents: readonly Extent[],
  size: number,
  fail: (message: string) => FleetsieError,
): Extent[] | undefined {
  const result: Extent[] = []
  let end = 0
  for (const { offset, length } of extents) {
    if (!(Number.isSafeInteger(offset) && Number.isSafeInteger(length)) || length < 0 || offset < end) {
      throw fail(`the data range at ${offset}, ${length} bytes long, is out of order`)
    }
    if (offset + length > size) {
      throw fail(`the data range at ${offset}, ${length} bytes long, passes the file's end at ${size}`)
    }
    end = offset + length
    if (length === 0) continue
    const last = result.at(-1)
    if (last && last.offset + last.length === offset) last.length += length
    else result.push({ offset, length })
  }
  const [first] = result
  const whole = size === 0 || (result.length === 1 && first!.offset === 0 && first!.length === size)
  return whole ? undefined : result
}

/** The map in front of the data, filled to whole blocks. */
export function encodeSparseMap(extents: readonly Extent[], size: number): Buffer {
  const last = extents.at(-1)
  // Readers learn from an empty last range that the file goes on after its last data.
  const ends = last !== undefined && last.offset + last.length === size
  const ranges = ends ? extents : [...extents, { offset: size, length: 0 }]
  const text = [ranges.length, ...ranges.flatMap(({ offset, length }) => [offset, length])].join('\n')
  const bytes = Buffer.from(`${text}\n`)
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & (blockSize - 1))])
}
