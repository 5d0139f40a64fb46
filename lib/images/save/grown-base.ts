/** The grown copy of an image that `grow` asks for: what edits begin with, and how it differs from the stock. */
import { stat } from 'node:fs/promises'
import type { Run } from '../../engine/process.ts'
import { bmapBlockSize } from '../../formats/bmap.ts'
import { chunkDigests, chunksOf } from '../chunk-digests.ts'
import { copyDisk } from '../copy-disk.ts'
import { differingPieces } from '../differing-pieces.ts'
import { chunkSize } from '../image.ts'
import { type PartitionTable, readPartitionTable } from '../partitions.ts'
import { growImage } from './grow.ts'
import { mappedRanges } from './mapped-ranges.ts'
import type { Grown } from './working-state.ts'

export interface GrowRequest {
  run: Run
  /** The stock image, which stays as it is. */
  stock: string
  table: PartitionTable
  /** Bytes. */
  to: number
  /** Seconds since 1970. */
  epoch: number
  tmp: string
  signal: AbortSignal
}

/** Makes the file `base`. */
export async function makeGrownBase(base: string, request: GrowRequest): Promise<Grown> {
  const { run, stock, signal } = request
  await copyDisk(run, stock, base)
  await growImage({ ...request, disk: base })
  const { size } = await stat(stock)
  // Behind the stock's end there are zeros but for what is in use.
  const grown = await mappedRanges(base, await readPartitionTable(base))
  const ranges = grown.map(({ first, last }) => ({
    offset: first * bmapBlockSize,
    length: (last - first + 1) * bmapBlockSize,
  }))
  const pieces: number[] = []
  for await (const { index } of differingPieces(
    base,
    stock,
    [{ offset: 0, length: size }, ...ranges],
    signal,
  ))
    pieces.push(index)
  // The last one of the stock may be longer now.
  const chunks = new Set([...chunksOf(pieces), Math.floor(size / chunkSize)])
  return { pieces, chunks: await chunkDigests(base, [...chunks]) }
}
