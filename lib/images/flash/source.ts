/** The bytes of an image, whatever they come from. */
import type { ByteRange } from '../byte-ranges.ts'

export interface Source {
  /** Bytes of the disk. */
  readonly size: number
  /** Prepares for reading `ranges`, which ascend. Nothing else may be asked for. */
  reader(ranges: readonly ByteRange[], signal: AbortSignal): Reader
  /** Milliseconds that reading the file itself has taken. */
  readonly reading: number
  close(): Promise<void>
}

export interface Reader {
  /** Fills `into` from byte `at` of the disk on. Each call goes on behind the one before. */
  fill(into: Buffer, at: number): Promise<void>
  /** To be called behind the last fill: whether all that was read is what it should be shows only at its end. */
  finish(): Promise<void>
  /** Ends what reads ahead. */
  close(): Promise<void>
}
