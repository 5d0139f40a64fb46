/** Reads an image once to learn what no manifest says: its size, and the digest of each chunk. */
import type { Run } from '../../engine/process.ts'
import type { Sink } from '../containers/decoding.ts'
import { type ContainerKind, chunkSize } from '../image.ts'
import { BufferPool } from './buffers.ts'
import { readChunks } from './chunk-stream.ts'
import { chunkDigest } from './digests.ts'
import type { RangeCheck } from './range-check.ts'
import type { Source } from './source.ts'
import { decodeInto } from './streamed-source.ts'

const ahead = 6

/** `check`: the block map, which nobody holds the image against later. @throws E_VERIFY where it is another image's */
export async function scanImage(
  source: Source,
  check: RangeCheck | undefined,
  signal: AbortSignal,
): Promise<(string | null)[]> {
  const indexes = Array.from({ length: Math.ceil(source.size / chunkSize) }, (_, i) => i)
  const pool = new BufferPool(ahead, chunkSize)
  const stream = { source, name: 'image', known: undefined, check, waited: () => {} }
  const digests: (string | null)[] = []
  for await (const { digest, buffer } of readChunks(stream, indexes, pool, signal)) {
    digests.push(digest)
    pool.give(buffer)
  }
  return digests
}

/** As scanImage. */
export async function scanStream(
  kind: Exclude<ContainerKind, 'raw' | 'xz'>,
  check: RangeCheck | undefined,
  options: { file: string; run: Run; signal: AbortSignal },
): Promise<{ size: number; chunks: (string | null)[] }> {
  const sink = new DigestSink(check)
  const size = await decodeInto(sink, { kind, ...options })
  return { size, chunks: await sink.finish() }
}

class DigestSink implements Sink {
  readonly #check: RangeCheck | undefined
  readonly #chunks: Promise<string | null>[] = []
  #under: Buffer = Buffer.allocUnsafeSlow(chunkSize)
  #filled = 0
  #done = 0
  #hashing = 0
  #wake: () => void = () => {}

  constructor(check: RangeCheck | undefined) {
    this.#check = check
  }

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
    this.#check?.take(this.#done, chunk)
    this.#done += chunk.length
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
