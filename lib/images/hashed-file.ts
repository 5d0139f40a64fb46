/** A file that is written from start to end and hashed on the way. */
import { createHash, type Hash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'

export class HashedFile {
  readonly #file: FileHandle
  readonly #hash: Hash = createHash('sha256')
  #size = 0

  private constructor(file: FileHandle) {
    this.#file = file
  }

  /** Makes the file, which must not be there yet. */
  static async create(path: string): Promise<HashedFile> {
    return new HashedFile(await open(path, 'wx'))
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#hash.update(bytes)
    this.#size += bytes.length
    for (let done = 0; done < bytes.length; ) {
      done += (await this.#file.write(bytes, done, bytes.length - done)).bytesWritten
    }
  }

  /** To be called once, after the last write. */
  finish(): { sha256: string; size: number } {
    return { sha256: this.#hash.digest('hex'), size: this.#size }
  }

  /** To be called in the end, whatever happened. */
  async close(): Promise<void> {
    await this.#file.close()
  }
}
