/** Small reads of an image, as finding its partitions makes them: the chunks that they lie in are kept for a while. */
import type { ReadAt } from '../../formats/random-access.ts'
import { chunkSize } from '../image.ts'
import { BufferPool } from './buffers.ts'
import type { DiskImage } from './types.ts'

const maxKept = 16

/** Fewer bytes than asked for where the image ends. */
export function chunkReader(image: Pick<DiskImage, 'size' | 'readChunks'>, signal: AbortSignal): ReadAt {
  const kept = new Map<number, Buffer>()
  const chunk = async (index: number): Promise<Buffer> => {
    const known = kept.get(index)
    if (known) return known
    const pool = new BufferPool(1, chunkSize)
    for await (const { bytes } of image.readChunks([index], pool, signal)) kept.set(index, bytes)
    if (kept.size > maxKept) kept.delete(kept.keys().next().value!)
    return kept.get(index)!
  }
  return async (offset, length) => {
    if (!Number.isSafeInteger(offset) || offset < 0 || offset >= image.size) return Buffer.alloc(0)
    const end = Math.min(image.size, offset + length)
    const parts: Buffer[] = []
    for (let at = offset; at < end; ) {
      const bytes = await chunk(Math.floor(at / chunkSize))
      const inside = at % chunkSize
      const part = bytes.subarray(inside, Math.min(bytes.length, inside + end - at))
      parts.push(part)
      at += part.length
    }
    return Buffer.concat(parts)
  }
}
