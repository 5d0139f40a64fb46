/** An image as another one with some of its chunks in a file of their own: what differs is all that has to be unpacked. */
import { chunkSize } from '../image.ts'
import { type Place, Window } from '../window.ts'

/** Where an image's bytes are. */
export interface Readable {
  /** A raw image. */
  disk: string
  /** Chunks that are not those of `disk`: they stand at their places in `file`. */
  patch?: { file: string; chunks: ReadonlySet<number> }
}

export function openWindow({ disk, patch }: Readable, place: Place): Window {
  return patch ? new PatchedWindow(disk, place, patch) : new Window(disk, place)
}

class PatchedWindow extends Window {
  private readonly patch: Window
  private readonly chunks: ReadonlySet<number>

  constructor(disk: string, place: Place, { file, chunks }: NonNullable<Readable['patch']>) {
    super(disk, place)
    this.patch = new Window(file, place)
    this.chunks = chunks
  }

  override readInto(bytes: Buffer, position: number): void {
    for (let done = 0; done < bytes.length; ) {
      const at = this.offset + position + done
      const chunk = Math.floor(at / chunkSize)
      const length = Math.min(bytes.length - done, (chunk + 1) * chunkSize - at)
      const part = bytes.subarray(done, done + length)
      if (this.chunks.has(chunk)) this.patch.readInto(part, position + done)
      else super.readInto(part, position + done)
      done += length
    }
  }

  override close(): void {
    this.patch.close()
    super.close()
  }
}
