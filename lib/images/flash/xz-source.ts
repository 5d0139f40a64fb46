/**
 * An .xz of several blocks: only those that hold something wanted are decoded, as many at once as there are cores, each
 * into a file that has no name any more. Its data are used when xz has ended, and so has held them against their check.
 */
import { randomBytes } from 'node:crypto'
import { type FileHandle, open, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { Run } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import type { ReadAt } from '../../formats/random-access.ts'
import type { ByteRange } from '../byte-ranges.ts'
import { takeAll } from '../containers/decoding.ts'
import { decodeBlocks, findDamage, type PlacedBlock } from '../containers/xz-run.ts'
import { readerOf } from '../reads.ts'
import type { Reader, Source } from './source.ts'
import { type Batch, batchesOf } from './xz-batches.ts'

export interface XzSourceOptions {
  run: Run
  /** Folder for what is decoded, at most `jobs` + 1 times 64 MiB. */
  tmp: string
  /** Programs at once. */
  jobs: number
  /** Whether what is read is held against digests: then a block need not be decoded to its end. */
  checked: boolean
}

/** A rest of a block that is worth ending xz early. */
const minRest = 1024 * 1024

export class XzSource implements Source {
  readonly size: number
  readonly #file: FileHandle
  readonly #read: ReadAt
  readonly #blocks: readonly PlacedBlock[]
  readonly #options: XzSourceOptions
  #reading = 0

  constructor(file: FileHandle, blocks: readonly PlacedBlock[], options: XzSourceOptions) {
    const last = blocks.at(-1)
    this.size = last ? last.start + last.uncompressed : 0
    this.#file = file
    this.#blocks = blocks
    this.#options = options
    const read = readerOf(file)
    this.#read = async (offset, length) => {
      const since = performance.now()
      const bytes = await read(offset, length)
      this.#reading += performance.now() - since
      return bytes
    }
  }

  get reading(): number {
    return this.#reading
  }

  reader(ranges: readonly ByteRange[], signal: AbortSignal): Reader {
    const batches = batchesOf(this.#blocks, ranges)
    const decoded: (Promise<Decoded> | undefined)[] = []
    let first = 0
    const start = (): void => {
      for (let i = first; i < Math.min(batches.length, first + this.#options.jobs + 1); i++) {
        if (decoded[i]) continue
        // Two at once of `jobs` + 1: one is read from while the others are decoded.
        decoded[i] = this.#decode(batches[i]!)
        decoded[i]!.catch(() => {})
      }
    }
    const drop = async (i: number): Promise<void> => {
      const result = decoded[i]
      decoded[i] = undefined
      await result?.then(
        (file) => file.close(),
        () => {},
      )
    }
    return {
      fill: async (into, at) => {
        for (let done = 0; done < into.length; ) {
          signal.throwIfAborted()
          const position = at + done
          while (endOf(batches[first]!) <= position) await drop(first++)
          start()
          const source = await decoded[first]!
          done += await source.readAt(into.subarray(done), position)
        }
      },
      // A block is used when it has been checked.
      finish: async () => {},
      close: async () => {
        await Promise.all(decoded.map((_, i) => drop(i)))
      },
    }
  }

  close(): Promise<void> {
    return this.#file.close()
  }

  async #decode(batch: Batch): Promise<Decoded> {
    const { run } = this.#options
    const early = this.#options.checked && batch.length - batch.until >= minRest
    const decoded = await Decoded.create(this.#options.tmp, batch)
    try {
      if (early) await this.#decodeUntil(batch, decoded)
      else await decodeBlocks(run, this.#read, batch.blocks, { outputFd: decoded.fd })
      return decoded
    } catch (error) {
      await decoded.close()
      throw await findDamage(run, this.#read, batch.blocks, error)
    }
  }

  async #decodeUntil(batch: Batch, decoded: Decoded): Promise<void> {
    const enough = new Error('enough')
    let at = 0
    const output = (stdout: Parameters<typeof takeAll>[0]): Promise<void> =>
      takeAll(stdout, async (bytes) => {
        await decoded.append(bytes, at)
        at += bytes.length
        if (at >= batch.until) throw enough
      })
    await decodeBlocks(this.#options.run, this.#read, batch.blocks, { output }).catch((error: unknown) => {
      if (error !== enough) throw error
    })
  }
}

function endOf({ blocks }: Batch): number {
  const last = blocks.at(-1)!
  return last.start + last.uncompressed
}

/** What a batch decodes to: its blocks one behind the other, though they may lie apart on the disk. */
class Decoded {
  readonly #file: FileHandle
  readonly #blocks: { start: number; end: number; at: number }[] = []

  private constructor(file: FileHandle, { blocks }: Batch) {
    this.#file = file
    let at = 0
    for (const { start, uncompressed } of blocks) {
      this.#blocks.push({ start, end: start + uncompressed, at })
      at += uncompressed
    }
  }

  static async create(tmp: string, batch: Batch): Promise<Decoded> {
    const path = join(tmp, `.fleetsie-block-${process.pid}-${randomBytes(6).toString('hex')}`)
    const file = await open(path, 'wx+', 0o600)
    await unlink(path)
    return new Decoded(file, batch)
  }

  get fd(): number {
    return this.#file.fd
  }

  async append(bytes: Buffer, at: number): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      done += (await this.#file.write(bytes, done, bytes.length - done, at + done)).bytesWritten
    }
  }

  /** Fills `into` from byte `position` of the disk as far as the block goes. Answers how far that is. */
  async readAt(into: Buffer, position: number): Promise<number> {
    const block = this.#blocks.find(({ start, end }) => start <= position && position < end)
    if (!block) throw new FleetsieError('E_BUG', `byte ${position} of an image was not asked for`)
    const length = Math.min(into.length, block.end - position)
    for (let done = 0; done < length; ) {
      const from = block.at + position - block.start + done
      const { bytesRead } = await this.#file.read(into, done, length - done, from)
      // xz leaves zeros at the end out.
      if (bytesRead === 0) into.fill(0, done, length)
      done += bytesRead || length - done
    }
    return length
  }

  close(): Promise<void> {
    return this.#file.close()
  }
}
