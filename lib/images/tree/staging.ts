/** Puts the contents of a layer's files into a folder of our own, where debugfs and mtools take them from. */
import { closeSync, ftruncateSync, openSync, utimesSync, writeSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { LayerFile } from '../../formats/layer/entry.ts'
import { type Fingerprint, Fingerprinter } from './fingerprint.ts'
import { placedPieces } from './placed-pieces.ts'

export interface Staged extends Fingerprint {
  /** Below the staging folder. */
  name: string
}

export class Staging {
  readonly folder: string
  private readonly blockSize: number
  private next = 0

  private constructor(folder: string, blockSize: number) {
    this.folder = folder
    this.blockSize = blockSize
  }

  static async open(tmp: string, blockSize: number): Promise<Staging> {
    const folder = join(tmp, 'staged')
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const staging = new Staging(folder, blockSize)
    closeSync(openSync(staging.empty, 'wx', 0o600))
    return staging
  }

  /** Synchronous writes: for many small files, waiting for each costs more than writing it. */
  async add(entry: LayerFile, content: AsyncIterable<Uint8Array>): Promise<Staged> {
    const name = `${this.next++}`
    const prints = new Fingerprinter(this.blockSize)
    const fd = openSync(join(this.folder, name), 'wx', 0o600)
    try {
      for await (const { at, bytes } of placedPieces(entry, content)) {
        prints.add(at, bytes)
        write(fd, bytes, at)
      }
      ftruncateSync(fd, entry.size)
    } finally {
      closeSync(fd)
    }
    return { name, ...prints.finish(entry.size) }
  }

  /** A file without content. */
  get empty(): string {
    return join(this.folder, 'empty')
  }

  path(staged: Staged): string {
    return join(this.folder, staged.name)
  }

  setTime(staged: Staged, seconds: number): void {
    utimesSync(this.path(staged), seconds, seconds)
  }
}

function write(fd: number, bytes: Uint8Array, position: number): void {
  let done = 0
  while (done < bytes.length) done += writeSync(fd, bytes, done, bytes.length - done, position + done)
}
