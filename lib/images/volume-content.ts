/** The bytes of a file in a volume, and whether other bytes are the same. */
import type { Volume } from './volume.ts'

const zeros = Buffer.alloc(1024 * 1024)

/** A file's bytes in order, zeros between its pieces included. */
export function* contentOf(volume: Volume, id: number): Generator<Buffer> {
  const { size } = volume.node(id)
  let done = 0
  function* zerosUpTo(end: number): Generator<Buffer> {
    for (; done < end; done += Math.min(zeros.length, end - done)) yield zeros.subarray(0, end - done)
  }
  for (const { at, bytes } of volume.pieces(id)) {
    yield* zerosUpTo(at)
    yield bytes
    done = at + bytes.length
  }
  yield* zerosUpTo(size)
}

/** Compares the file `id` with bytes that come in pieces of any length. */
export class ContentComparer {
  private readonly pieces: Generator<Buffer>
  private rest: Buffer = Buffer.alloc(0)
  private differs = false

  constructor(volume: Volume, id: number) {
    this.pieces = contentOf(volume, id)
  }

  /** Takes what comes next; false as soon as something differs. */
  update(bytes: Buffer): boolean {
    for (let at = 0; !this.differs && at < bytes.length; ) {
      if (this.rest.length === 0) {
        const next = this.pieces.next()
        if (next.done) this.differs = true
        else this.rest = next.value
        continue
      }
      const length = Math.min(this.rest.length, bytes.length - at)
      this.differs = this.rest.compare(bytes, at, at + length, 0, length) !== 0
      this.rest = this.rest.subarray(length)
      at += length
    }
    return !this.differs
  }

  /** Once all has come: whether that was just what the file has. */
  same(): boolean {
    return !this.differs && this.rest.length === 0 && this.pieces.next().done === true
  }
}

/** Whether two files have the same bytes. */
export function sameContent(before: Volume, a: number, after: Volume, b: number): boolean {
  const comparer = new ContentComparer(before, a)
  for (const bytes of contentOf(after, b)) if (!comparer.update(bytes)) return false
  return comparer.same()
}
