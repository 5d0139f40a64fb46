/** Puts the contents of a layer's files into a folder of our own, where debugfs and mtools take them from. */
import { closeSync, ftruncateSync, openSync, utimesSync, writeSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import type { LayerFile } from '../../formats/layer/entry.ts'
import { type Fingerprint, Fingerprinter } from './fingerprint.ts'

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
    const extents = entry.extents ?? [{ offset: 0, length: entry.size }]
    const fd = openSync(join(this.folder, name), 'wx', 0o600)
    try {
      let index = 0
      let done = 0
      for await (const chunk of content) {
        let from = 0
        while (from < chunk.length) {
          const extent = extents[index]
          if (extent === undefined) throw tooLong(entry)
          if (done === extent.length) {
            index++
            done = 0
            continue
          }
          const piece = chunk.subarray(from, from + extent.length - done)
          prints.add(extent.offset + done, piece)
          write(fd, piece, extent.offset + done)
          done += piece.length
          from += piece.length
        }
      }
      while (extents[index] && done === extents[index]!.length) {
        index++
        done = 0
      }
      if (index < extents.length) throw tooLong(entry)
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

function tooLong(entry: LayerFile): FleetsieError {
  return new FleetsieError(
    'E_DAMAGED',
    `the content of ${entry.path} does not have the length that its entry says`,
  )
}
