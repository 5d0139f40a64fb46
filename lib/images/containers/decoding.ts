/** What every decoder of a container gets, and the way from a stream of bytes into an image. */
import type { Readable } from 'node:stream'

import type { Run } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'

/** Takes an image from its start to its end. */
export interface Sink {
  /** Takes a copy of `bytes`. When `behind` is true afterwards, wait for `caughtUp()`. */
  write(offset: number, bytes: Uint8Array): void
  readonly behind: boolean
  caughtUp(): Promise<void>
}

export interface Decoding<S extends Sink = Sink> {
  /** Path of the file to decode. */
  file: string
  /** Its size in bytes. */
  fileSize: number
  writer: S
  /** Fails when an image of so many bytes must not be written. */
  checkSize(bytes: number): void
  run: Run
  signal: AbortSignal
  /** Decoders that may run at once. */
  jobs: number
  progress(done: number, total: number | undefined): void
}

/** Writes a stream from the image's start on. Answers its length in bytes. */
export async function pour(stream: Readable, decoding: Decoding, total?: number): Promise<number> {
  const { writer, checkSize, signal, progress } = decoding
  let at = 0
  await takeAll(stream, (bytes) => {
    throwIfAborted(signal)
    checkSize(at + bytes.length)
    writer.write(at, bytes)
    at += bytes.length
    progress(at, total)
    return writer.behind ? writer.caughtUp() : undefined
  })
  return at
}

/**
 * Gives each buffer of `stream` to `take`, and waits when that answers a promise.
 * An async iterator would join buffers and turn the event loop for each: 0.5 s more for a GiB.
 */
export function takeAll(stream: Readable, take: (bytes: Buffer) => Promise<void> | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown): void => {
      stream.off('data', onData)
      stream.destroy()
      reject(error)
    }
    const onData = (bytes: Buffer): void => {
      try {
        const wait = take(bytes)
        if (!wait) return
        stream.pause()
        wait.then(() => stream.resume(), fail)
      } catch (error) {
        fail(error)
      }
    }
    stream.on('data', onData).once('end', resolve).once('error', reject)
    stream.once('close', () => reject(new FleetsieError('E_BUG', 'a stream was closed before its end')))
  })
}

export function throwIfAborted(signal: AbortSignal): void {
  if (signal.aborted) throw new FleetsieError('E_INTERRUPTED', 'decompressing was interrupted')
}

export function damagedContainer(what: string, cause?: unknown): FleetsieError {
  const hint = 'get the file again and compare its sha256 with the published one'
  return new FleetsieError('E_DAMAGED', what, cause === undefined ? { hint } : { hint, cause })
}
