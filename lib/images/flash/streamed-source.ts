/** An image that can only be decoded from its start on: .gz, .zst, .zip, and an .xz of one block or of very large ones. */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { Run } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import type { ByteRange } from '../byte-ranges.ts'
import { type Decoding, damagedContainer, pour, type Sink } from '../containers/decoding.ts'
import { decodeGz } from '../containers/gz.ts'
import { decodeZip } from '../containers/zip.ts'
import { decodeZst } from '../containers/zst.ts'
import { feed } from '../feed.ts'
import type { ContainerKind } from '../image.ts'
import { maxImageSize } from '../limits.ts'
import type { Reader, Source } from './source.ts'

/** Bytes that may wait for whoever reads. */
const maxWaiting = 16 * 1024 * 1024
const memoryLimit = '256MiB'

type Streamed = Exclude<ContainerKind, 'raw'>

export class StreamedSource implements Source {
  readonly size: number
  readonly reading = 0
  readonly #kind: Streamed
  readonly #file: string
  readonly #run: Run
  readonly #checked: boolean

  /** `checked`: what is read is held against digests, so that it need not be decoded to its end. */
  constructor(kind: Streamed, file: string, size: number, { run, checked }: { run: Run; checked: boolean }) {
    this.#checked = checked
    this.#kind = kind
    this.#file = file
    this.size = size
    this.#run = run
  }

  reader(ranges: readonly ByteRange[], signal: AbortSignal): Reader {
    const last = ranges.at(-1)
    const end = last ? last.offset + last.length : 0
    const channel = new Channel(this.#checked ? end : Number.POSITIVE_INFINITY)
    const ended = decodeInto(channel, { kind: this.#kind, file: this.#file, run: this.#run, signal }).then(
      () => channel.end(undefined),
      (error: unknown) => channel.end(error),
    )
    return {
      fill: (into, at) => channel.fill(into, at),
      finish: () => (this.#checked ? Promise.resolve() : channel.finish()),
      close: async () => {
        channel.stop()
        await ended
      },
    }
  }

  async close(): Promise<void> {}
}

/** Decodes all into `sink`. Answers the image's size. */
export async function decodeInto(
  writer: Sink,
  { kind, file, run, signal }: { kind: Streamed; file: string; run: Run; signal: AbortSignal },
): Promise<number> {
  const decoding: Decoding = {
    file,
    fileSize: (await stat(file)).size,
    writer,
    checkSize: (bytes) => {
      if (bytes > maxImageSize)
        throw new FleetsieError('E_UNSUPPORTED', `an image of more than ${maxImageSize} bytes`)
    },
    run,
    signal,
    jobs: 1,
    progress: () => {},
  }
  if (kind === 'gz') return decodeGz(decoding)
  if (kind === 'zst') return decodeZst(decoding)
  if (kind === 'zip') return decodeZip(decoding)
  return decodeXzStream(decoding)
}

async function decodeXzStream(decoding: Decoding): Promise<number> {
  let size = 0
  try {
    await decoding.run(
      'xz',
      ['--decompress', '--stdout', '--format=xz', '--threads=1', `--memlimit-decompress=${memoryLimit}`],
      {
        input: (stdin) => feed(stdin, createReadStream(decoding.file, { highWaterMark: 256 * 1024 })),
        output: async (stdout) => {
          size = await pour(stdout, decoding)
        },
      },
    )
  } catch (error) {
    if (!(error instanceof FleetsieError) || error.code !== 'E_STAGE') throw error
    const said = /^xz: \(stdin\): (.*)$/m.exec(error.message)?.[1] ?? 'xz cannot decode it'
    throw damagedContainer(said, error)
  }
  return size
}

class Stopped extends Error {}

/** Between a decoder that pushes and a reader that asks. What lies before the place that is asked for is dropped. */
class Channel implements Sink {
  readonly #end: number
  #parts: { at: number; bytes: Uint8Array }[] = []
  #waiting = 0
  #from = 0
  #ended = false
  #stopped = false
  #failure: unknown
  #wakeReader: () => void = () => {}
  #wakeWriter: () => void = () => {}

  /** Nothing is asked for from byte `end` on. */
  constructor(end: number) {
    this.#end = end
  }

  write(at: number, bytes: Uint8Array): void {
    if (this.#stopped || at >= this.#end) throw new Stopped()
    if (at + bytes.length > this.#from) {
      this.#parts.push({ at, bytes: Uint8Array.prototype.slice.call(bytes) })
      this.#waiting += bytes.length
    }
    this.#wakeReader()
  }

  get behind(): boolean {
    return this.#waiting > maxWaiting
  }

  async caughtUp(): Promise<void> {
    while (this.behind && !this.#stopped) {
      await new Promise<void>((resolve) => {
        this.#wakeWriter = resolve
      })
    }
    if (this.#stopped) throw new Stopped()
  }

  stop(): void {
    this.#stopped = true
    this.#wakeWriter()
  }

  /** Drops the rest. */
  async finish(): Promise<void> {
    this.#from = Number.POSITIVE_INFINITY
    this.#parts = []
    this.#waiting = 0
    this.#wakeWriter()
    while (!this.#ended) await this.#more()
    if (this.#failure !== undefined) throw this.#failure
  }

  end(failure: unknown): void {
    this.#ended = true
    if (!(failure instanceof Stopped)) this.#failure = failure
    this.#wakeReader()
  }

  async fill(into: Buffer, at: number): Promise<void> {
    for (let done = 0; done < into.length; ) {
      this.#from = at + done
      const part = await this.#next()
      const skip = this.#from - part.at
      const length = Math.min(into.length - done, part.bytes.length - skip)
      if (length > 0) {
        into.set(part.bytes.subarray(skip, skip + length), done)
        done += length
      }
      if (skip + length >= part.bytes.length) {
        this.#parts.shift()
        this.#waiting -= part.bytes.length
        this.#wakeWriter()
      }
    }
  }

  async #next(): Promise<{ at: number; bytes: Uint8Array }> {
    for (;;) {
      const part = this.#parts[0]
      if (part) return part
      if (this.#failure !== undefined) throw this.#failure
      if (this.#ended) throw damagedContainer(`the image ends before byte ${this.#from}`)
      await this.#more()
    }
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wakeReader = resolve
    })
  }
}
