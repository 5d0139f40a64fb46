/** Blocks that wait for their turn in the file: in memory as long as they are few, else on the disk. */
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { readerOf } from '../reads.ts'

const maxInMemory = 32 * 1024 * 1024

export interface Spooled {
  read(): Promise<Buffer>
  /** Says that nobody reads it any more. */
  drop(): void
}

export class Spool {
  readonly #path: string
  #inMemory = 0
  #file: Promise<FileHandle> | undefined
  #end = 0

  constructor(folder: string) {
    this.#path = join(folder, 'blocks')
  }

  async keep(bytes: Buffer): Promise<Spooled> {
    const { length } = bytes
    if (this.#inMemory + length <= maxInMemory) {
      this.#inMemory += length
      return {
        read: async () => bytes,
        drop: () => {
          this.#inMemory -= length
        },
      }
    }
    this.#file ??= open(this.#path, 'wx+')
    const offset = this.#end
    this.#end += length
    const file = await this.#file
    for (let done = 0; done < length; ) {
      done += (await file.write(bytes, done, length - done, offset + done)).bytesWritten
    }
    return { read: () => readerOf(file)(offset, length), drop: () => {} }
  }

  /** To be called in the end, when nothing is kept or read any more. */
  async close(): Promise<void> {
    // That it could not be opened is what `keep` failed with.
    const file = await this.#file?.catch(() => undefined)
    await file?.close()
  }
}
