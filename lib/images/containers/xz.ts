/**
 * Decodes an .xz. An `xz` with as many threads as there are cores writes the image, this process hashes behind it.
 * xz gets the blocks by the index, with sizes in their headers, so that it uses its threads on any file.
 * Measured against `xz -dc -T0` into a file, CPU time for 327 MB of data: so 1.1; through a pipe 1.3,
 * because moving the data to this process costs more than hashing it.
 * The file is open for appending: then xz itself goes to its end, which no call of node can, and leaves holes.
 */
import { open } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { knownCheck } from '../../formats/xz/check.ts'
import { readFileIndex, type XzFileIndex } from '../../formats/xz/file-index.ts'
import type { XzContainer } from '../image.ts'
import type { ImageWriter } from '../image-writer.ts'
import { readerOf } from '../reads.ts'
import { type Decoding, throwIfAborted } from './decoding.ts'
import { decodeBlocks, findDamage, type PlacedBlock } from './xz-run.ts'
import { findZeroBlocks } from './xz-zeros.ts'

/** How often to look how far xz has come, milliseconds: it writes 2 to 20 MiB in that time. */
const lookEvery = 20
/** Decoding so many zeros takes 0.1 s. Between two processes, cores idle for up to half a block's time. */
const minGap = 64 * 1024 * 1024

/** Answers the image's size and, when its blocks can be taken over into one stream, the index. */
export async function decodeXz(
  decoding: Decoding<ImageWriter>,
): Promise<{ size: number; xz: XzContainer | undefined }> {
  const { run, writer } = decoding
  const file = await open(decoding.file)
  try {
    const read = readerOf(file)
    const index = await readFileIndex(read, decoding.fileSize)
    const size = index.uncompressed
    const blocks = placedBlocks(index)
    decoding.checkSize(size)

    const zeros = await findZeroBlocks(run, read, blocks)
    for (const zero of zeros) writer.markZeros(zero.start, zero.uncompressed)
    const out = await writer.appending()
    try {
      for (const segment of segments(blocks, zeros)) {
        await writer.extend(segment[0]!.start)
        const decoded = decodeBlocks(run, read, segment, { outputFd: out.fd }, decoding.jobs)
        try {
          await follow(decoding, decoded, size)
        } catch (error) {
          // What lies before the last byte written has been decoded and checked.
          const written = await writer.written()
          const suspects = segment.filter((block) => block.start + block.uncompressed >= written)
          throw await findDamage(run, read, suspects, error)
        }
      }
    } finally {
      await out.close()
    }
    await writer.extend(size)
    await writer.follow(size, size)
    decoding.progress(size, size)
    return { size, xz: container(index) }
  } finally {
    await file.close()
  }
}

async function follow(decoding: Decoding<ImageWriter>, decoded: Promise<void>, size: number): Promise<void> {
  let running = true
  const ended = decoded
    .catch(() => {})
    .finally(() => {
      running = false
    })
  try {
    while (running) {
      await Promise.race([ended, sleep(lookEvery)])
      const written = Math.min(await decoding.writer.written(), size)
      await decoding.writer.follow(written, size)
      decoding.progress(written, size)
      throwIfAborted(decoding.signal)
    }
  } finally {
    // xz writes into the file until it has ended.
    await ended
  }
  await decoded
}

/** The blocks to decode, split where so many zeros lie that skipping them gains more than a new process costs. */
function segments(blocks: readonly PlacedBlock[], zeros: ReadonlySet<PlacedBlock>): PlacedBlock[][] {
  const found: PlacedBlock[][] = []
  let skipped: PlacedBlock[] = []
  let gap = Number.POSITIVE_INFINITY
  for (const block of blocks) {
    if (zeros.has(block)) {
      skipped.push(block)
      gap += block.uncompressed
      continue
    }
    if (gap >= minGap) found.push([block])
    else found.at(-1)!.push(...skipped, block)
    skipped = []
    gap = 0
  }
  return found
}

/** The blocks with their places in the image. @throws E_UNSUPPORTED for a check that nobody can compute */
export function placedBlocks(index: XzFileIndex): PlacedBlock[] {
  let start = 0
  return index.blocks.map((block, number) => {
    const result = { ...block, start, number, check: knownCheck(index.streams[block.stream]!.check) }
    start += block.uncompressed
    return result
  })
}

function container({ streams, blocks }: XzFileIndex): XzContainer | undefined {
  const check = knownCheck(streams[0]!.check)
  if (streams.some((stream) => stream.check !== check)) return undefined
  return { check, streams: streams.length, blocks }
}
