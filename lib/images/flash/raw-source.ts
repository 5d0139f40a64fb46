/** A raw image, read in place. */
import { type FileHandle, open } from 'node:fs/promises'
import { FleetsieError } from '../../errors.ts'
import { sizeOf } from '../device-size.ts'
import type { Reader, Source } from './source.ts'

export class RawSource implements Source {
  readonly size: number
  readonly #file: FileHandle
  #reading = 0

  private constructor(file: FileHandle, size: number) {
    this.#file = file
    this.size = size
  }

  static async open(path: string): Promise<RawSource> {
    const file = await open(path)
    return new RawSource(file, sizeOf(await file.stat()))
  }

  get reading(): number {
    return this.#reading
  }

  reader(): Reader {
    return { fill: (into, at) => this.#fill(into, at), finish: async () => {}, close: async () => {} }
  }

  close(): Promise<void> {
    return this.#file.close()
  }

  async #fill(into: Buffer, at: number): Promise<void> {
    const since = performance.now()
    for (let done = 0; done < into.length; ) {
      const { bytesRead } = await this.#file.read(into, done, into.length - done, at + done)
      if (bytesRead === 0) throw new FleetsieError('E_DAMAGED', `the image ends at byte ${at + done}`)
      done += bytesRead
    }
    this.#reading += performance.now() - since
  }
}
