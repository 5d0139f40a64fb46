/**
 * The first bytes of an area while it is half-written: zeros, so that nothing boots or mounts it, and a mark that tells
 * whether it is still as the journal knows it.
 */
import { createHash } from 'node:crypto'
import { chunkSize } from '../image.ts'
import { alignedBuffers } from './buffers.ts'
import type { Cell, Part } from './cells.ts'
import type { Area, DiskImage } from './types.ts'

const words = 'fleetsie: half-written, give the same command again '

export class Heads {
  readonly #areas: readonly Area[]
  /** The head parts of each area, with their bytes once they are known. */
  readonly #parts: { part: Part; bytes: Buffer | undefined }[][]
  readonly #id: string

  /** `id`: that of the journal. */
  constructor(areas: readonly Area[], cells: readonly Cell[], id: string) {
    this.#areas = areas
    this.#id = id
    this.#parts = areas.map(() => [])
    for (const { parts } of cells) {
      for (const part of parts) if (part.head) this.#parts[part.area]!.push({ part, bytes: undefined })
    }
  }

  /** Chunks in which heads of `area` lie whose bytes are not known yet. */
  missing(area: number): number[] {
    const chunks = this.#parts[area]!.flatMap(({ part, bytes }) =>
      bytes ? [] : [Math.floor(part.offset / chunkSize)],
    )
    return [...new Set(chunks)]
  }

  /** Keeps the bytes of a head. `chunk` is that of the image, `index` its number. */
  learn(index: number, chunk: Buffer): void {
    for (const one of this.#parts.flat()) {
      const from = one.part.offset - index * chunkSize
      if (from < 0 || from >= chunk.length || one.bytes) continue
      const [bytes] = alignedBuffers(1, one.part.length) as [Buffer]
      chunk.copy(bytes, 0, from, from + one.part.length)
      one.bytes = bytes
    }
  }

  /** Makes the area invalid, on the medium. Answers the bytes written. */
  async invalidate(area: number): Promise<number> {
    const { target } = this.#areas[area]!
    let written = 0
    for (const [i, { part }] of this.#parts[area]!.entries()) {
      const [bytes] = alignedBuffers(1, part.length) as [Buffer]
      if (i === 0) bytes.write(this.#mark(area), 'latin1')
      await target.write(bytes, this.#at(part))
      written += part.length
    }
    await target.flush()
    return written
  }

  /** Whether the area bears the mark of this journal: then nobody else has written it since. */
  async isMarked(area: number): Promise<boolean> {
    const part = this.#parts[area]![0]?.part
    if (!part) return false
    const { target } = this.#areas[area]!
    const [bytes] = alignedBuffers(1, part.length) as [Buffer]
    await target.read(bytes, this.#at(part))
    const mark = this.#mark(area)
    return bytes.toString('latin1', 0, mark.length) === mark
  }

  /**
   * Writes what belongs there, the area's first bytes last of all, and reads it back. Answers the image's byte of the first
   * difference, if any.
   */
  async restore(area: number): Promise<{ written: number; wrong: number | undefined }> {
    const { target } = this.#areas[area]!
    let written = 0
    for (const { part, bytes } of [...this.#parts[area]!].reverse()) {
      await target.write(bytes!, this.#at(part))
      await target.flush()
      written += part.length
    }
    await target.forget()
    for (const { part, bytes } of this.#parts[area]!) {
      const [read] = alignedBuffers(1, part.length) as [Buffer]
      await target.read(read, this.#at(part))
      const wrong = read.findIndex((byte, i) => byte !== bytes![i])
      if (wrong >= 0) return { written, wrong: part.offset + wrong }
    }
    return { written, wrong: undefined }
  }

  #at({ offset, area }: Part): number {
    return offset - this.#areas[area]!.image.offset
  }

  #mark(area: number): string {
    return `${words}${createHash('sha256').update(`${this.#id} ${area}`).digest('hex')}\n`
  }
}

/** The bytes of heads that no chunk so far has brought. */
export async function learnHeads(
  heads: Heads,
  area: number,
  image: DiskImage,
  signal: AbortSignal,
): Promise<void> {
  const ranges = heads.missing(area).map((chunk) => {
    const offset = chunk * chunkSize
    return { offset, length: Math.min(chunkSize, image.size - offset) }
  })
  if (ranges.length === 0) return
  const chunk = new Map<number, Buffer>()
  for await (const { at, bytes } of image.read(ranges, signal)) {
    const index = Math.floor(at / chunkSize)
    const whole = chunk.get(index) ?? Buffer.alloc(Math.min(chunkSize, image.size - index * chunkSize))
    bytes.copy(whole, at - index * chunkSize)
    chunk.set(index, whole)
  }
  for (const [index, bytes] of chunk) heads.learn(index, bytes)
}
