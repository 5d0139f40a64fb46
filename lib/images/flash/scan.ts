/** Reads an image once to learn what no manifest says: its size, and the digest of each chunk. */
import type { Run } from '../../engine/process.ts'
import type { Sink } from '../containers/decoding.ts'
import { type ContainerKind, chunkSize } from '../image.ts'
import { BufferPool } from './buffers.ts'
import { readChunks } from './chunk-stream.ts'
import { chunkDigest } from './digests.ts'
import type { Source } from './source.ts'
import { decodeInto } from './streamed-source.ts'

const ahead = 6

export async function scanImage(source: Source, signal: AbortSignal): Promise<(string | null)[]> {
  const indexes = Array.from({ length: Math.ceil(source.size / chunkSize) }, (_, i) => i)
  const pool = new BufferPool(ahead, chunkSize)
  const stream = { source, name: 'image', known: undefined, check: undefined, waited: () => {} }
  const digests: (string | null)[] = []
  for await (const { digest, buffer } of readChunks(stream, indexes, pool, signal)) {
    digests.push(digest)
    pool.give(buffer)
  }
  return digests
}

export async function scanStream(
  kind: Exclude<ContainerKind, 'raw' | 'xz'>,
  options: { file: string; run: Run; signal: AbortSignal },
): Promise<{ size: number; chunks: (string | null)[] }> {
  const sink = new DigestSink()
  const size = await decodeInto(sink, { kind, ...options })
  return { size, chunks: await sink.finish() }
}

class DigestSink implements Sink {
  readonly #chunks: Promise<string | null>[] = []
  #under: Buffer = Buffer.allocUnsafeSlow(chunkSize)
  #filled = 0
  #hashing = 0
  #wake: () => void = () => {}

  write(_offset: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      const part = bytes.subarray(done, done + chunkSize - this.#filled)
      this.#under.set(part, this.#filled)
      this.#filled += part.length
      done += part.length
      if (this.#filled === chunkSize) this.#complete()
    }
  }

  get behind(): boolean {
    return this.#hashing >= ahead
  }

  async caughtUp(): Promise<void> {
    while (this.behind) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  finish(): Promise<(string | null)[]> {
    if (this.#filled > 0) this.#complete()
    return Promise.all(this.#chunks)
  }

  #complete(): void {
    const chunk = this.#under.subarray(0, this.#filled)
    this.#under = Buffer.allocUnsafeSlow(chunkSize)
    this.#filled = 0
    this.#hashing++
    this.#chunks.push(
      chunkDigest(chunk).finally(() => {
        this.#hashing--
        this.#wake()
      }),
    )
  }
}
