/** What the parts of flashing agree on: the image, the target, what a card holds, and the report. */
import type { ByteRange } from '../byte-ranges.ts'
import type { PartitionTable } from '../partition-table.ts'
import type { BufferPool } from './buffers.ts'

/** A MiB of an image, or its shorter end. */
export interface Chunk {
  index: number
  /** In a buffer of the pool, to be given back. */
  bytes: Buffer
  buffer: Buffer
  /** sha256, null for zeros. */
  digest: string | null
}

/** A disk image that can be read in any part. Memory does not grow with its size. */
export interface DiskImage {
  /** As messages name it. */
  readonly name: string
  /** Identity: sha256 of the file; of a raw image that no manifest describes, over its chunks' digests. */
  readonly sha256: string
  /** Bytes of the disk. */
  readonly size: number
  readonly table: PartitionTable
  /** Bytes that a full write writes, ascending, apart: what the block map maps, or everything. */
  readonly mapped: readonly ByteRange[]
  /** sha256 of each MiB, null for one of zeros; undefined where nobody knows them before decoding. */
  readonly chunks: readonly (string | null)[] | undefined
  /**
   * The bytes of `ranges`, ascending, in parts of any length. A part may be overwritten when the next one is asked for.
   * @throws E_DAMAGED or E_VERIFY naming the place where what is decoded is not what it should be
   */
  read(ranges: readonly ByteRange[], signal: AbortSignal): AsyncIterable<{ at: number; bytes: Buffer }>
  /** Whole chunks by their indexes, which ascend, in buffers of `pool`. @throws as read() */
  readChunks(indexes: readonly number[], pool: BufferPool, signal: AbortSignal): AsyncIterable<Chunk>
  /** Milliseconds so far that reading the file has taken, and that readers have waited for what is decoded. */
  waited(): { reading: number; decoding: number }
  close(): Promise<void>
}

/** What is written to: a block device or a plain file. Offsets and lengths are bytes, aligned or not. */
export interface Target {
  readonly path: string
  /** What is open, whatever the path leads to by now: `major:minor` of a device, else as `fileId` tells. */
  readonly id: string
  readonly kind: 'block' | 'file'
  readonly size: number
  readonly readOnly: boolean
  /** Whether the page cache is passed by. */
  readonly direct: boolean
  /** Fills `buffer` from byte `at` on. @throws E_IO with the device and the offset */
  read(buffer: Buffer, at: number): Promise<void>
  /** Writes all of `buffer`. @throws E_IO with the device and the offset */
  write(buffer: Buffer, at: number): Promise<void>
  /** Returns when all that was written is on the medium. */
  flush(): Promise<void>
  /** Drops what the machine has cached, so that reads come from the medium. */
  forget(): Promise<void>
  close(): Promise<void>
}

/** A part of the image and where it goes: its first byte to byte 0 of the target. */
export interface Area {
  image: ByteRange
  target: Target
}

/** What a card holds now, by the chunks of the image. */
export interface Held {
  /** As DiskImage.chunks; undefined: not known, also for a chunk that lies not wholly in one area. */
  chunks: readonly (string | null | undefined)[]
  /**
   * Where `chunks` tells the truth: a chunk that was written by a block map is what its digest says there, and elsewhere
   * anything. Left out: everywhere.
   */
  covers?: readonly ByteRange[]
  /** Known from the receipt of the last flash, or by reading the card. */
  how: 'receipt' | 'compared'
}

export interface Card {
  /** As messages and progress name it. */
  name: string
  areas: readonly Area[]
  held?: Held
  /** Path of the file that lets an interrupted write go on. It is removed at the end. */
  journal: string
  /** Writes all that is mapped, whatever the card holds. */
  full: boolean
}

export type FlashPhase = 'comparing' | 'writing' | 'verifying'
export type FlashPart = 'reading' | 'decoding' | 'writing' | 'verifying'

export interface FlashProgress {
  card: string
  phase: FlashPhase
  /** Bytes of this phase. */
  done: number
  total: number
  /** Bytes a second, of late. */
  rate: number
  /** Milliseconds until this phase ends; undefined while nobody can tell. */
  left: number | undefined
  /** What the others wait for. */
  slowest: FlashPart
}

export interface FlashReport {
  card: string
  /** compared: also where nothing was known and flash() itself has read the card. */
  how: 'receipt' | 'compared' | 'full'
  /** An interrupted write was gone on with. */
  resumed: boolean
  /** Bytes of the card that were read to find what differs. */
  bytesCompared: number
  bytesWritten: number
  bytesVerified: number
  /** Mapped bytes that did not have to be written. */
  bytesSaved: number
  /** Bytes that were believed and read nevertheless: by who believes them, not by flash(). */
  sampled: number
  ms: { comparing: number; writing: number; verifying: number }
  slowest: FlashPart
  /** For the next `Held`. */
  chunks: (string | null | undefined)[]
  covers: ByteRange[]
}

/** How it went for one card: others go on when it fails. */
export type FlashResult = { card: string; report: FlashReport } | { card: string; error: Error }
