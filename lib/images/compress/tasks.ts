/** What has to run to make the blocks that nobody has kept: one process each. */
import type { Run } from '../../engine/process.ts'
import { type EncodeOptions, encodePieces, filterChain } from '../encode-pieces.ts'
import { batchesOf, groupBy } from './batches.ts'
import type { RecodableBlock, Stock } from './stock.ts'
import type { Wanted } from './wanted.ts'

export interface Task {
  wants: readonly Wanted[]
  /** The block of each. */
  work(): Promise<Buffer[]>
}

export interface TaskOptions extends EncodeOptions {
  /** For the pieces to be recoded. */
  stock: Stock | undefined
  /** Processes at once. */
  jobs: number
  run: Run
}

/** Bytes of pieces for one process: about a second. */
const mostEncoded = 4 * 1024 * 1024
const mostRecoded = 16 * 1024 * 1024

/** In the order in which the blocks are needed. */
export function tasksFor(missing: readonly Wanted[], options: TaskOptions): Task[] {
  const { stock, jobs } = options
  const tasks: Task[] = []
  const kinds = groupBy(missing, ({ piece }) => piece.kind)
  const blocks = Array.from(groupBy(kinds.get('recode') ?? [], blockOf), ([number, wants]) => {
    return { block: stock!.recodable.get(number)!, wants }
  })
  for (const batch of batchesOf(blocks, ({ block }) => weightOf(block), jobs, mostRecoded)) {
    tasks.push(recoding(batch, options))
  }
  const chains = groupBy(kinds.get('encode') ?? [], ({ piece }) => filterChain(piece.length))
  for (const [chain, wants] of chains) {
    for (const batch of batchesOf(wants, ({ piece }) => piece.length, jobs, mostEncoded)) {
      const contents = batch.map(({ content }) => content)
      tasks.push({ wants: batch, work: () => encodePieces(contents, chain, options) })
    }
  }
  const placeOf = ({ wants }: Task): number => wants[0]!.piece.offset
  return tasks.sort((a, b) => placeOf(a) - placeOf(b))
}

function recoding(
  batch: readonly { block: RecodableBlock; wants: readonly Wanted[] }[],
  options: TaskOptions,
): Task {
  const parts = batch.map(({ block, wants }) => {
    const ranges = wants.map(({ piece: { offset, length } }) => {
      return { from: offset - block.start, to: offset - block.start + length }
    })
    return { block, ranges }
  })
  const work = async (): Promise<Buffer[]> => {
    const { recodeBlocks } = await import('./recode-blocks.ts')
    return recodeBlocks(parts, options.stock!, options)
  }
  return { wants: batch.flatMap(({ wants }) => wants), work }
}

function blockOf({ piece }: Wanted): number {
  return piece.kind === 'recode' ? piece.block : -1
}

/** What is hardly compressed has few symbols, or is stored. */
function weightOf({ compressedSize, uncompressed }: RecodableBlock): number {
  return compressedSize * Math.max(0, 1 - compressedSize / uncompressed) + 1
}
