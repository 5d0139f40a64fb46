/** Decodes an .xz by its index, as many blocks at once as there are cores. */
import { open } from 'node:fs/promises'
import { knownCheck } from '../../formats/xz/check.ts'
import { readFileIndex, type XzFileIndex } from '../../formats/xz/file-index.ts'
import { readerOf } from '../feed.ts'
import type { XzContainer } from '../image.ts'
import { type Decoding, throwIfAborted } from './decoding.ts'
import { decodeBlocks, type PlacedBlock } from './xz-run.ts'
import { findZeroBlocks } from './xz-zeros.ts'

/** A process gets blocks of at least so many bytes: starting one takes 2 ms, decoding that much 200. */
const minRun = 16 * 1024 * 1024
/** This process hashes and writes what they decode, which fills one core at about so many. */
const maxProcesses = 8

/** Answers the image's size and, when its blocks can be taken over into one stream, the index. */
export async function decodeXz(decoding: Decoding): Promise<{ size: number; xz: XzContainer | undefined }> {
  const file = await open(decoding.file)
  try {
    const read = readerOf(file)
    const index = await readFileIndex(read, decoding.fileSize)
    for (const stream of index.streams) knownCheck(stream.check)
    decoding.checkSize(index.uncompressed)

    const blocks = placed(index)
    const zero = await findZeroBlocks(decoding.run, read, blocks)
    let done = 0
    for (const block of zero) {
      decoding.writer.writeZeros(block.start, block.uncompressed)
      done += block.uncompressed
    }
    const runs = intoRuns(blocks.filter((block) => !zero.has(block)))
    await inParallel(runs, Math.min(decoding.jobs + 1, maxProcesses), async (run, failed) => {
      await decodeBlocks(decoding.run, read, run, (offset, bytes) => {
        throwIfAborted(decoding.signal)
        failed()
        decoding.writer.write(offset, bytes)
        done += bytes.length
        decoding.progress(done, index.uncompressed)
        return decoding.writer.behind ? decoding.writer.caughtUp() : undefined
      })
    })
    return { size: index.uncompressed, xz: container(index) }
  } finally {
    await file.close()
  }
}

function placed(index: XzFileIndex): PlacedBlock[] {
  let start = 0
  return index.blocks.map((block, number) => {
    const result = { ...block, start, number, check: index.streams[block.stream]!.check }
    start += block.uncompressed
    return result
  })
}

function intoRuns(blocks: readonly PlacedBlock[]): PlacedBlock[][] {
  const runs: PlacedBlock[][] = []
  let size = 0
  for (const block of blocks) {
    const run = runs.at(-1)
    if (run && size < minRun && run[0]!.check === block.check) {
      run.push(block)
      size += block.uncompressed
    } else {
      runs.push([block])
      size = block.uncompressed
    }
  }
  return runs
}

/**
 * Works on `items` in order, `width` at once. After a failure nothing new begins and `failed` throws what has
 * failed; all that runs has ended before the failure is thrown.
 */
async function inParallel<T>(
  items: readonly T[],
  width: number,
  work: (item: T, failed: () => void) => Promise<void>,
): Promise<void> {
  let next = 0
  let first: { at: number; error: unknown } | undefined
  const worker = async (): Promise<void> => {
    while (next < items.length && !first) {
      const at = next++
      await work(items[at]!, () => {
        // Only what comes later gives way: so the fault that is reported is the first in the file.
        if (first && first.at < at) throw first.error
      }).catch((error: unknown) => {
        if (!first || at < first.at) first = { at, error }
      })
    }
  }
  await Promise.all(Array.from({ length: width }, worker))
  if (first) throw first.error
}

function container({ streams, blocks }: XzFileIndex): XzContainer | undefined {
  const check = knownCheck(streams[0]!.check)
  if (streams.some((stream) => stream.check !== check)) return undefined
  return { check, streams: streams.length, blocks }
}
