/** Encodes pieces of a raw image, each by an `xz` process of its own: what a piece becomes depends on it alone. */
import { open, rm } from 'node:fs/promises'
import { freemem } from 'node:os'
import { join } from 'node:path'
import type { Run } from '../engine/process.ts'
import { FleetsieError } from '../errors.ts'
import type { ReadAt } from '../formats/random-access.ts'
import { type CheckId, checkNames } from '../formats/xz/check.ts'
import type { Piece } from '../formats/xz/cut.ts'
import { feed, readRange } from './feed.ts'

type EncodedPiece = Extract<Piece, { kind: 'encode' }>

export interface EncodeOptions {
  read: ReadAt
  pieces: readonly Piece[]
  check: CheckId
  run: Run
  /** Processes at once. */
  jobs: number
  tmp: string
}

export interface Encoding {
  /** The .xz file of one stream and one block that `piece` became. To be asked for in the order of the pieces. */
  file(piece: EncodedPiece): Promise<string>
  /** Says that the file of `piece` is not needed any more. */
  used(piece: EncodedPiece): Promise<void>
  /** Starts nothing new and waits for what runs. */
  end(): Promise<void>
}

/** Bytes that an encoder takes at most: measured 183 MB for pieces of 16 MiB. */
const encoderMemory = 200_000_000
const zeros = Buffer.alloc(256 * 1024)

/** Begins to encode all pieces to be encoded, first things first. */
export function encodePieces({ read, pieces, check, run, jobs, tmp }: EncodeOptions): Encoding {
  let stopped = false
  const limited = limiter(Math.max(1, Math.min(jobs, Math.floor(freemem() / encoderMemory))))
  const zeroFiles = new Map<string, Promise<string>>()
  const shared = new Set<EncodedPiece>()

  const encode = async (piece: EncodedPiece): Promise<string> => {
    const path = join(tmp, `piece-${piece.offset}.xz`)
    const file = await open(path, 'wx')
    try {
      // As large as a piece can be: for 16 MiB 4 % smaller than with the 8 MiB of `xz -6`, by an encoder of 183 MB.
      const chain = `--lzma2=preset=6,dict=${piece.grid}`
      const args = [
        '--compress',
        '--stdout',
        '--format=xz',
        '--threads=1',
        `--check=${checkNames[check]}`,
        chain,
      ]
      await run('xz', args, {
        input: (stdin) => feed(stdin, readRange(read, piece.offset, piece.length)),
        outputFd: file.fd,
      })
    } finally {
      await file.close()
    }
    return path
  }

  const start = async (piece: EncodedPiece): Promise<string> => {
    if (stopped) throw new FleetsieError('E_INTERRUPTED', 'compressing was interrupted')
    if (!(await isZero(read, piece))) return encode(piece)
    shared.add(piece)
    const key = `${piece.length} of ${piece.grid}`
    const known = zeroFiles.get(key) ?? encode(piece)
    zeroFiles.set(key, known)
    return known
  }

  const files = new Map<EncodedPiece, Promise<string>>()
  for (const piece of pieces) {
    if (piece.kind !== 'encode') continue
    const file = limited(() => start(piece))
    // Whoever asks for it hears of its failure; nobody may ask, after another one.
    file.catch(() => {})
    files.set(piece, file)
  }
  return {
    file: (piece) => files.get(piece)!,
    used: async (piece) => {
      if (!shared.has(piece)) await rm(await files.get(piece)!)
    },
    end: async () => {
      stopped = true
      await Promise.allSettled(files.values())
    },
  }
}

async function isZero(read: ReadAt, piece: EncodedPiece): Promise<boolean> {
  for await (const bytes of readRange(read, piece.offset, piece.length)) {
    if (!bytes.equals(zeros.subarray(0, bytes.length))) return false
  }
  return true
}

/** Runs at most `width` of the tasks given to it at once, in the order in which they come. */
function limiter(width: number): <T>(task: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = []
  let running = 0
  return async (task) => {
    if (running >= width) await new Promise<void>((resolve) => waiting.push(resolve))
    else running++
    try {
      return await task()
    } finally {
      // The place goes to the next in line, or is free.
      const next = waiting.shift()
      if (next) next()
      else running--
    }
  }
}
