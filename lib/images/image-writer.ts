/** Writes a disk image that comes in pieces, or follows a program that writes it: sparse, each chunk hashed once. */
import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { FleetsieError } from '../errors.ts'
import { chunkSize, chunksDigest } from './image.ts'

/** Chunks that may wait for the disk at once: 16 MiB. */
const maxWaiting = 16
const zeroChunk = Buffer.alloc(chunkSize)

export interface ImageContent {
  size: number
  chunks: (string | null)[]
  /** For `context.declare(name, { chunks: digest })`. */
  digest: string
}

interface OpenChunk {
  bytes: Buffer
  filled: number
}

/**
 * Each byte is to be written exactly once, in any order. A chunk is kept in memory until it is whole, so that
 * whoever writes in several places at once should go forward in each.
 */
export class ImageWriter {
  readonly #path: string
  readonly #file: FileHandle
  readonly #open = new Map<number, OpenChunk>()
  readonly #spare: Buffer[] = []
  readonly #waiting = new Set<Promise<void>>()
  readonly #chunks: (string | null)[] = []
  #followed = 0
  #failure: Error | undefined

  private constructor(path: string, file: FileHandle) {
    this.#path = path
    this.#file = file
  }

  /** Makes the file, which must not be there yet. */
  static async create(path: string): Promise<ImageWriter> {
    return new ImageWriter(path, await open(path, 'wx+'))
  }

  /** Takes a copy of `bytes`. When `behind` is true afterwards, wait for `caughtUp()`. */
  write(offset: number, bytes: Uint8Array): void {
    if (this.#failure) throw this.#failure
    for (let done = 0; done < bytes.length; ) {
      const at = offset + done
      const index = Math.floor(at / chunkSize)
      const inside = at % chunkSize
      const part = bytes.subarray(done, done + chunkSize - inside)
      const chunk = this.#chunk(index)
      chunk.bytes.set(part, inside)
      this.#fill(index, chunk, part.length)
      done += part.length
    }
  }

  /** The file, for programs that write the image one after the other, each at its end. To be closed by the caller. */
  async appending(): Promise<FileHandle> {
    return open(this.#path, 'a')
  }

  /** What such programs have written so far, bytes. A hole at the end counts only when something follows it. */
  async written(): Promise<number> {
    return (await this.#file.stat()).size
  }

  /** Lengthens the file to `size` bytes by a hole, where zeros need not be written. */
  async extend(size: number): Promise<void> {
    await this.#file.truncate(size)
  }

  /** Hashes what such programs have written below `end`, chunk by whole chunk; the rest of a chunk at the image's end. */
  async follow(end: number, imageSize: number): Promise<void> {
    const bytes = this.#spare.pop() ?? Buffer.allocUnsafeSlow(chunkSize)
    for (; this.#followed < end; ) {
      const index = this.#followed / chunkSize
      const length = Math.min(chunkSize, imageSize - this.#followed)
      if (this.#followed + length > end) break
      if (this.#chunks[index] === undefined) {
        const chunk = bytes.subarray(0, length)
        for (let done = 0; done < length; ) {
          const { bytesRead } = await this.#file.read(chunk, done, length - done, this.#followed + done)
          if (bytesRead === 0) throw new FleetsieError('E_BUG', `the image ends before byte ${end}`)
          done += bytesRead
        }
        this.#chunks[index] = chunkDigest(chunk)
      }
      this.#followed += length
    }
    this.#recycle(bytes)
  }

  /** Says that a range that a program writes holds nothing but zeros: reading a hole costs as much as reading data. */
  markZeros(offset: number, length: number): void {
    const end = Math.floor((offset + length) / chunkSize)
    for (let i = Math.ceil(offset / chunkSize); i < end; i++) this.#chunks[i] = null
  }

  /** Whether the disk lags so far behind that whoever writes should wait. */
  get behind(): boolean {
    return this.#waiting.size >= maxWaiting
  }

  async caughtUp(): Promise<void> {
    while (this.behind) await Promise.race(this.#waiting)
    if (this.#failure) throw this.#failure
  }

  /** Ends an image of `size` bytes, all of which have been written. The file is not synced: the store does that. */
  async finish(size: number): Promise<ImageContent> {
    const last = Math.floor(size / chunkSize)
    const rest = this.#open.get(last)
    if (rest && rest.filled === size % chunkSize) this.#complete(last, rest.bytes.subarray(0, rest.filled))
    await Promise.all(this.#waiting)
    if (this.#failure) throw this.#failure
    const expected = Math.ceil(size / chunkSize)
    for (let i = 0; i < Math.max(expected, this.#chunks.length); i++) {
      if (i >= expected || this.#chunks[i] === undefined) {
        throw new FleetsieError('E_BUG', `chunk ${i} of an image of ${size} bytes was not written once`)
      }
    }
    await this.#file.truncate(size)
    return { size, chunks: this.#chunks, digest: chunksDigest(this.#chunks) }
  }

  /** To be called in the end, whatever happened. */
  async close(): Promise<void> {
    await Promise.all(this.#waiting)
    await this.#file.close()
  }

  #chunk(index: number): OpenChunk {
    const known = this.#open.get(index)
    if (known) return known
    if (this.#chunks[index] !== undefined) {
      throw new FleetsieError('E_BUG', `chunk ${index} of an image was written twice`)
    }
    const chunk = { bytes: this.#spare.pop() ?? Buffer.allocUnsafeSlow(chunkSize), filled: 0 }
    this.#open.set(index, chunk)
    return chunk
  }

  #fill(index: number, chunk: OpenChunk, length: number): void {
    chunk.filled += length
    if (chunk.filled === chunkSize) this.#complete(index, chunk.bytes)
  }

  #complete(index: number, bytes: Buffer): void {
    this.#open.delete(index)
    const digest = chunkDigest(bytes)
    this.#chunks[index] = digest
    if (digest === null) {
      this.#recycle(bytes)
      return
    }
    const written = this.#put(index * chunkSize, bytes)
      .catch((error: Error) => {
        this.#failure ??= error
      })
      .finally(() => {
        this.#waiting.delete(written)
        this.#recycle(bytes)
      })
    this.#waiting.add(written)
  }

  async #put(offset: number, bytes: Buffer): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      done += (await this.#file.write(bytes, done, bytes.length - done, offset + done)).bytesWritten
    }
  }

  #recycle(bytes: Buffer): void {
    if (bytes.length === chunkSize && this.#spare.length < maxWaiting) this.#spare.push(bytes)
  }
}

function chunkDigest(bytes: Buffer): string | null {
  if (bytes.equals(zeroChunk.subarray(0, bytes.length))) return null
  return createHash('sha256').update(bytes).digest('hex')
}
