/** What has to run to make the blocks that nobody has kept: one process each. */
import type { Run } from '../../engine/process.ts'
import { type EncodeOptions, encodePieces, filterChain } from '../encode-pieces.ts'
import { batchesOf, groupBy } from './batches.ts'
import type { RecodeTask } from './recode-parts.ts'
import type { Stock } from './stock.ts'
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
/** Less than this is done before a process has started. */
const recodedHere = 256 * 1024

/** In the order in which the blocks are needed. */
export function tasksFor(missing: readonly Wanted[], options: TaskOptions): Task[] {
  const kinds = groupBy(missing, ({ piece }) => piece.kind)
  const tasks = [
    ...encodingTasks(kinds.get('encode') ?? [], options),
    ...recodingTasks(kinds.get('recode') ?? [], options),
  ]
  const placeOf = ({ wants }: Task): number => wants[0]!.piece.offset
  return tasks.sort((a, b) => placeOf(a) - placeOf(b))
}

function encodingTasks(missing: readonly Wanted[], options: TaskOptions): Task[] {
  const tasks: Task[] = []
  for (const [chain, wants] of groupBy(missing, ({ piece }) => filterChain(piece.length))) {
    for (const batch of batchesOf(wants, ({ piece }) => piece.length, options.jobs, mostEncoded)) {
      const contents = batch.map(({ content }) => content)
      tasks.push({ wants: batch, work: () => encodePieces(contents, chain, options) })
    }
  }
  return tasks
}

function recodingTasks(missing: readonly Wanted[], options: TaskOptions): Task[] {
  if (missing.length === 0) return []
  const stock = options.stock!
  const parts = Array.from(groupBy(missing, blockOf), ([number, wants]) => {
    const { start, rest, compressedSize, uncompressed, filters } = stock.recodable.get(number)!
    const ranges = wants.map(({ piece: { offset, length } }) => {
      return { from: offset - start, to: offset - start + length }
    })
    const chain = { ...filters, bytes: [...filters.bytes] }
    return { wants, task: { rest, compressedSize, uncompressed, filters: chain, ranges } }
  })
  const weight = parts.reduce((sum, { task }) => sum + weightOf(task), 0)
  const here = weight <= recodedHere
  const batches = here ? [parts] : batchesOf(parts, ({ task }) => weightOf(task), options.jobs, mostRecoded)
  return batches.map((batch) => {
    const tasks = batch.map(({ task }) => task)
    const work = async (): Promise<Buffer[]> => {
      const { recodeBlocks, recodeHere } = await import('./recode-blocks.ts')
      return here ? recodeHere(tasks, stock) : recodeBlocks(tasks, stock, options)
    }
    return { wants: batch.flatMap(({ wants }) => wants), work }
  })
}

function blockOf({ piece }: Wanted): number {
  return piece.kind === 'recode' ? piece.block : -1
}

/** About 150 ms for each MiB. What is hardly compressed has few symbols, or is stored. */
function weightOf({ compressedSize, uncompressed }: RecodeTask): number {
  return compressedSize * Math.max(0, 1 - compressedSize / uncompressed) + uncompressed / 64
}
