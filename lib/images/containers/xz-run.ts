/** Runs `xz` on blocks of an .xz, which get a stream of their own with both sizes in each header. */
import type { Run, RunOptions } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import type { ReadAt } from '../../formats/random-access.ts'
import type { CheckId } from '../../formats/xz/check.ts'
import type { XzBlock } from '../../formats/xz/file-index.ts'
import { encodeIndex, type IndexRecord } from '../../formats/xz/index-field.ts'
import { streamFooter, streamHeader } from '../../formats/xz/stream.ts'
import { feed } from '../feed.ts'
import { readRange } from '../reads.ts'
import { sizedBlock } from '../sized-block.ts'
import { damagedContainer } from './decoding.ts'

/** A block with the place of its data in the image. */
export interface PlacedBlock extends XzBlock {
  start: number
  /** Number in the file, counted from 0. */
  number: number
  check: CheckId
}

/** No process may take more than 300 MB: with it, xz starts fewer threads. `xz -9` makes files that need 65 MiB. */
const memoryLimit = '256MiB'

/** Decodes `blocks` in order; `output` says where to. */
export async function decodeBlocks(
  run: Run,
  read: ReadAt,
  blocks: readonly PlacedBlock[],
  output: Pick<RunOptions, 'output' | 'outputFd'>,
  threads = 1,
): Promise<void> {
  const limits = [`--memlimit-decompress=${memoryLimit}`, `--memlimit-mt-decompress=${memoryLimit}`]
  const args = ['--decompress', '--stdout', '--format=xz', `--threads=${threads}`, ...limits]
  await run('xz', args, { ...output, input: (stdin) => feed(stdin, streamsOf(read, blocks)) })
}

/** A stream for each run of blocks with the same check. */
async function* streamsOf(read: ReadAt, blocks: readonly PlacedBlock[]): AsyncGenerator<Buffer> {
  let records: IndexRecord[] = []
  for (const [i, block] of blocks.entries()) {
    if (blocks[i - 1]?.check !== block.check) yield streamHeader(block.check)
    const { header, rest, record } = await sizedBlock(read, block, block.check)
    yield header
    yield* readRange(read, rest.offset, rest.length)
    records.push(record)
    if (blocks[i + 1]?.check === block.check) continue
    const index = encodeIndex(records)
    records = []
    yield index
    yield streamFooter(block.check, index.length)
  }
}

/**
 * What to throw when xz failed with `failure` on some of `blocks`: decodes each alone and names the first bad one.
 * @returns `failure` itself where each block alone is sound
 */
export async function findDamage(
  run: Run,
  read: ReadAt,
  blocks: readonly PlacedBlock[],
  failure: unknown,
): Promise<unknown> {
  if (!isFailureOfXz(failure)) return failure
  const full = /^xz: \(stdout\): Write error: (.*)$/m.exec(failure.message)?.[1]
  if (full !== undefined) return new FleetsieError('E_IO', `writing the image: ${full}`, { cause: failure })
  for (const block of blocks) {
    try {
      await decodeBlocks(run, read, [block], { output: async (stdout) => void stdout.resume() })
    } catch (error) {
      return isFailureOfXz(error) ? explain(block, error) : error
    }
  }
  return failure
}

function isFailureOfXz(error: unknown): error is FleetsieError {
  return error instanceof FleetsieError && error.code === 'E_STAGE'
}

function explain(block: PlacedBlock, cause: FleetsieError): FleetsieError {
  const place = `block ${block.number + 1}, bytes ${block.offset} to ${block.offset + block.unpadded - 1}`
  const said = /^xz: \(stdin\): (.*)$/m.exec(cause.message)?.[1]
  if (said === undefined) return cause
  if (said.startsWith('Memory usage limit')) {
    return new FleetsieError('E_UNSUPPORTED', `to decode it takes more than ${memoryLimit}: ${place}`, {
      hint: 'compress the image anew with `xz -6`',
      cause,
    })
  }
  return damagedContainer(`${said.charAt(0).toLowerCase()}${said.slice(1)}: ${place}`, cause)
}
