/** Makes the blocks that no stock block stands for: from the memo where it has them, else in parallel. */
import { freemem } from 'node:os'
import type { Memo } from '../../engine/stage.ts'
import { FleetsieError } from '../../errors.ts'
import { recordOfBlock } from '../../formats/xz/block.ts'
import type { Piece } from '../../formats/xz/cut.ts'
import { contentOf, type ImageBytes } from './content.ts'
import { limiter } from './limiter.ts'
import { Spool } from './spool.ts'
import { type Task, type TaskOptions, tasksFor } from './tasks.ts'
import {
  type EncodedPiece,
  isAsKeyed,
  type RecodedPiece,
  type Wanted,
  wantEncoded,
  wantRecoded,
} from './wanted.ts'

export interface MakeOptions extends TaskOptions, ImageBytes {
  pieces: readonly Piece[]
  memo: Memo
  /** sha256 of xz. */
  encoder: string
}

export interface MadeBlocks {
  /** The block of a piece, once. To be asked for in the order of the pieces. */
  take(piece: Piece): Promise<Buffer>
  /** Starts nothing new and waits for what runs. */
  end(): Promise<void>
}

/** Bytes that an encoder takes at most: measured 183 MB for pieces of 16 MiB. */
const encoderMemory = 200_000_000
const lookupsAtOnce = 8

/** Begins to make the blocks of all pieces that are not copied, first things first. */
export function makeBlocks(options: MakeOptions): MadeBlocks {
  const { pieces, stock, memo, check, encoder, jobs } = options
  const spool = new Spool(options.tmp)
  const limited = limiter(Math.max(1, Math.min(jobs, Math.floor(freemem() / encoderMemory))))
  let stopped = false
  const running: Promise<void>[] = []

  const want = async (piece: EncodedPiece | RecodedPiece): Promise<Wanted> => {
    if (stopped) throw interrupted()
    if (piece.kind === 'encode') return wantEncoded(piece, await contentOf(piece, options), check, encoder)
    return wantRecoded(piece, stock!.recodable.get(piece.block)!.start, check, stock!.sha256)
  }

  const lookUp = async (wanted: Wanted): Promise<boolean> => {
    const bytes = await memo.get(wanted.key)
    if (!bytes || !recordOfBlock(bytes, wanted.piece.length, check)) return false
    wanted.made(await spool.keep(bytes))
    return true
  }

  const perform = async ({ wants, work }: Task): Promise<void> => {
    try {
      if (stopped) throw interrupted()
      const blocks = await work()
      const keep = isAsKeyed(wants[0]!)
      for (const [i, wanted] of wants.entries()) {
        wanted.made(await spool.keep(blocks[i]!))
        if (keep) await memo.put(wanted.key, blocks[i]!)
      }
    } catch (error) {
      for (const wanted of wants) wanted.failed(error)
    }
  }

  const plan = async (): Promise<Map<Piece, Wanted>> => {
    const byKey = new Map<string, Wanted>()
    const byPiece = new Map<Piece, Wanted>()
    for (const piece of pieces) {
      if (piece.kind === 'copy') continue
      const found = await want(piece)
      const wanted = byKey.get(found.key) ?? found
      wanted.uses++
      byKey.set(found.key, wanted)
      byPiece.set(piece, wanted)
    }
    return byPiece
  }

  const begin = async (wants: readonly Wanted[]): Promise<void> => {
    const limitedLookUp = limiter(lookupsAtOnce)
    const known = await Promise.all(wants.map((wanted) => limitedLookUp(() => lookUp(wanted))))
    const missing = wants.filter((_, i) => !known[i])
    running.push(...tasksFor(missing, options).map((task) => limited(() => perform(task))))
  }

  const planned = plan()
  // Whoever takes a block hears of it; nobody may, after another failure.
  planned.catch(() => {})
  const begun = planned.then(async (byPiece) => {
    const all = [...new Set(byPiece.values())]
    try {
      // An edit leaves a few small pieces to be encoded: that goes on while large blocks are read and summed.
      await begin(all.filter(({ piece }) => piece.kind === 'encode'))
      await begin(all.filter(({ piece }) => piece.kind === 'recode'))
    } catch (error) {
      for (const wanted of all) wanted.failed(error)
    }
  })
  begun.catch(() => {})
  return {
    take: async (piece) => {
      const wanted = (await planned).get(piece)!
      const block = await wanted.block
      const bytes = await block.read()
      if (--wanted.uses === 0) block.drop()
      return bytes
    },
    end: async () => {
      stopped = true
      await begun.catch(() => {})
      await Promise.all(running)
      await spool.close()
    },
  }
}

function interrupted(): FleetsieError {
  return new FleetsieError('E_INTERRUPTED', 'compressing was interrupted')
}
