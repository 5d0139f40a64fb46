/**
 * Decodes some blocks of an .xz by one `xz` process, which gets them as a stream of its own.
 * So all cores work even where the block headers hold no sizes, which `xz -T0` needs; and with one thread
 * it buffers no whole blocks: 10 MB where `xz -T0` takes 128 MB for two threads.
 */
import type { Readable } from 'node:stream'
import type { Run } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import type { ReadAt } from '../../formats/random-access.ts'
import { knownCheck } from '../../formats/xz/check.ts'
import type { XzBlock } from '../../formats/xz/file-index.ts'
import { encodeIndex, padding } from '../../formats/xz/index-field.ts'
import { streamFooter, streamHeader } from '../../formats/xz/stream.ts'
import { feed, readRange } from '../feed.ts'
import { damagedContainer, takeAll } from './decoding.ts'

/** A block with the place of its data in the image. */
export interface PlacedBlock extends XzBlock {
  start: number
  /** Number in the file, counted from 0. */
  number: number
  check: number
}

/** No process may take more than 300 MB; `xz -9` makes files that need 65. */
const memoryLimit = '256MiB'

/** Takes `bytes`, to stand at `offset` of the image; a promise makes the decoder wait. */
export type Take = (offset: number, bytes: Buffer) => Promise<void> | undefined

/**
 * Decodes `blocks`, all with the same check, in order.
 * @throws E_DAMAGED naming the damaged block, E_UNSUPPORTED for a dictionary larger than we allow
 */
export async function decodeBlocks(
  run: Run,
  read: ReadAt,
  blocks: readonly PlacedBlock[],
  take: Take,
): Promise<void> {
  try {
    await decodeRun(run, read, blocks, take)
  } catch (error) {
    if (!isFailureOfXz(error)) throw error
    for (const block of blocks) {
      await decodeRun(run, read, [block], () => undefined).catch((cause: unknown) => {
        throw isFailureOfXz(cause) ? explain(block, cause) : cause
      })
    }
    // Each block alone is sound: it was not the file that made xz fail.
    throw error
  }
}

async function decodeRun(run: Run, read: ReadAt, blocks: readonly PlacedBlock[], take: Take): Promise<void> {
  await run(
    'xz',
    ['--decompress', '--stdout', '--format=xz', '--threads=1', `--memlimit-decompress=${memoryLimit}`],
    {
      input: (stdin) => feed(stdin, streamOf(read, blocks)),
      output: (stdout) => hand(stdout, blocks, take),
    },
  )
}

async function* streamOf(read: ReadAt, blocks: readonly PlacedBlock[]): AsyncGenerator<Buffer> {
  const check = knownCheck(blocks[0]!.check)
  yield streamHeader(check)
  for (const block of blocks) {
    yield* readRange(read, block.offset, block.unpadded + padding(block.unpadded))
  }
  const index = encodeIndex(blocks)
  yield index
  yield streamFooter(check, index.length)
}

/** Hands each part of the output to the block that it belongs to. */
function hand(stdout: Readable, blocks: readonly PlacedBlock[], take: Take): Promise<void> {
  let current = 0
  let done = 0
  return takeAll(stdout, (bytes) => {
    let wait: Promise<void> | undefined
    for (let at = 0; at < bytes.length; ) {
      while (current < blocks.length && done === blocks[current]!.uncompressed) {
        current++
        done = 0
      }
      const block = blocks[current]
      // xz compares sizes only at a block's end: a damaged index must not let it write into its neighbour's place.
      if (!block)
        throw damagedContainer(`a block decodes to more than the index says: ${place(blocks.at(-1)!)}`)
      const part = bytes.subarray(at, at + block.uncompressed - done)
      wait = take(block.start + done, part)
      done += part.length
      at += part.length
    }
    return wait
  })
}

function isFailureOfXz(error: unknown): error is FleetsieError {
  return error instanceof FleetsieError && error.code === 'E_STAGE'
}

function explain(block: PlacedBlock, cause: FleetsieError): FleetsieError {
  const said = /^xz: \(stdin\): (.*)$/m.exec(cause.message)?.[1]
  if (said === undefined) return cause
  if (said.startsWith('Memory usage limit')) {
    return new FleetsieError(
      'E_UNSUPPORTED',
      `to decode it takes more than ${memoryLimit}: ${place(block)}`,
      {
        hint: 'compress the image anew with `xz -6`',
        cause,
      },
    )
  }
  return damagedContainer(`${lowerFirst(said)}: ${place(block)}`, cause)
}

function place(block: PlacedBlock): string {
  return `block ${block.number + 1}, bytes ${block.offset} to ${block.offset + block.unpadded - 1}`
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1)
}
