/** A partition as a range of an open disk image or block device: bounded reads, no mount. */
import { closeSync, fstatSync, openSync, readSync, writeSync } from 'node:fs'
import { FleetsieError } from '../errors.ts'
import { sizeOf } from './device-size.ts'

/** The part of a partition's description that is needed to find its bytes. */
export interface Place {
  offset: number
  size: number
}

/** Positions are bytes from the partition's start. */
export class Window {
  readonly offset: number
  readonly size: number
  private readonly fd: number
  private readonly disk: string

  constructor(disk: string, place: Place, mode: 'r' | 'r+' = 'r') {
    this.fd = openSync(disk, mode)
    this.disk = disk
    this.offset = place.offset
    this.size = Math.min(place.size, sizeOf(fstatSync(this.fd)) - place.offset)
  }

  /** Exactly `length` bytes. E_DAMAGED: the filesystem points outside its partition. */
  read(position: number, length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length)
    this.readInto(bytes, position)
    return bytes
  }

  readInto(bytes: Buffer, position: number): void {
    if (!(position >= 0) || position + bytes.length > this.size) {
      throw new FleetsieError(
        'E_DAMAGED',
        `the filesystem refers to byte ${position}, its partition ends at ${this.size}`,
        {
          file: this.disk,
        },
      )
    }
    let done = 0
    while (done < bytes.length) {
      const got = readSync(this.fd, bytes, done, bytes.length - done, this.offset + position + done)
      if (got === 0) throw new FleetsieError('E_DAMAGED', 'the disk image ends early', { file: this.disk })
      done += got
    }
  }

  write(position: number, bytes: Buffer): void {
    let done = 0
    while (done < bytes.length) {
      done += writeSync(this.fd, bytes, done, bytes.length - done, this.offset + position + done)
    }
  }

  close(): void {
    closeSync(this.fd)
  }
}

/** Opens a window, hands it to `work` and closes it whatever happens. */
export async function withWindow<T>(
  disk: string,
  place: Place,
  mode: 'r' | 'r+',
  work: (window: Window) => T | Promise<T>,
): Promise<T> {
  const window = new Window(disk, place, mode)
  try {
    return await work(window)
  } finally {
    window.close()
  }
}
