/** Where the chunks of an image lie on a card, and reads there in whole memory pages, so that they pass by the cache. */
import type { ByteRange } from '../byte-ranges.ts'
import { chunkSize } from '../image.ts'
import { memoryUnit } from './buffers.ts'
import type { Area, Target } from './types.ts'

/** A chunk of the image that lies wholly in one area. */
export interface ChunkPlace {
  chunk: number
  target: Target
  /** Byte of the target. */
  at: number
  length: number
}

/** In order, those of an image of `size` bytes that lie wholly in one area and have a byte in `ranges`, which ascend. */
export function* chunkPlaces(
  areas: readonly Area[],
  size: number,
  ranges: readonly ByteRange[],
): Generator<ChunkPlace> {
  let next = 0
  for (let offset = 0; offset < size; offset += chunkSize) {
    const length = Math.min(chunkSize, size - offset)
    while (next < ranges.length && ranges[next]!.offset + ranges[next]!.length <= offset) next++
    if (next === ranges.length) return
    if (ranges[next]!.offset >= offset + length) continue
    const area = areaOf(areas, offset, length)
    if (!area) continue
    const at = offset - area.image.offset
    yield { chunk: offset / chunkSize, target: area.target, at, length }
  }
}

/** The area in which a range of the image lies wholly. */
export function areaOf(areas: readonly Area[], offset: number, length: number): Area | undefined {
  return areas.find(({ image }) => image.offset <= offset && offset + length <= image.offset + image.length)
}

/** Bytes that a buffer for `readPlace` needs at most, wherever `length` bytes begin. */
export function roomFor(length: number): number {
  return (Math.ceil(length / memoryUnit) + 1) * memoryUnit
}

/** The bytes [at, at + length) of the target, in `buffer`, which begins at a memory page. */
export async function readPlace(target: Target, at: number, length: number, buffer: Buffer): Promise<Buffer> {
  const from = at - (at % memoryUnit)
  const to = Math.min(Math.ceil((at + length) / memoryUnit) * memoryUnit, target.size)
  await target.read(buffer.subarray(0, to - from), from)
  return buffer.subarray(at - from, at - from + length)
}
