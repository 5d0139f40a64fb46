/**
 * Recodes parts of stock blocks in a process of its own, which runs this file as its program: several of them use
 * several processors, what they hold in memory is none of ours, and an abort ends them at once.
 */
import { openSync, readSync, writeSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import type { Run } from '../../engine/process.ts'
import { errorCodes, FleetsieError, toFleetsieError } from '../../errors.ts'
import { recordOfBlock } from '../../formats/xz/block.ts'
import type { CheckId } from '../../formats/xz/check.ts'
import { damaged } from '../../formats/xz/damage.ts'
import { encodeIndex, type IndexRecord } from '../../formats/xz/index-field.ts'
import { streamFooter, streamHeader } from '../../formats/xz/stream.ts'
import { recodeParts } from './recode-parts.ts'
import type { RecodableBlock, Stock } from './stock.ts'
import { writtenBlocks } from './written-blocks.ts'

export interface RecodeTask {
  block: RecodableBlock
  /** Parts of what the block decodes to, ascending. */
  ranges: { from: number; to: number }[]
}

interface Request {
  file: string
  check: CheckId
  tasks: {
    rest: { offset: number; length: number }
    compressedSize: number
    uncompressed: number
    filters: { count: number; bytes: number[] }
    ranges: { from: number; to: number }[]
  }[]
}

const program = fileURLToPath(import.meta.url)

/** A finished block for each range of each task. @throws E_DAMAGED naming the stock */
export async function recodeBlocks(
  tasks: readonly RecodeTask[],
  stock: Stock,
  { run, tmp }: { run: Run; tmp: string },
): Promise<Buffer[]> {
  const { check } = stock.index
  const request: Request = {
    file: stock.path,
    check,
    tasks: tasks.map(({ block: { rest, compressedSize, uncompressed, filters }, ranges }) => {
      return {
        rest,
        compressedSize,
        uncompressed,
        filters: { ...filters, bytes: [...filters.bytes] },
        ranges,
      }
    }),
  }
  const lengths = tasks.flatMap(({ ranges }) => ranges.map(({ from, to }) => to - from))
  const name = `recoded-${tasks[0]!.block.rest.offset}.xz`
  return writtenBlocks({ folder: tmp, name, lengths, check }, async (outputFd) => {
    const loader = program.endsWith('.ts') ? ['--import', import.meta.resolve('tsx')] : []
    const { exitCode, stderr } = await run(process.execPath, [...loader, program], {
      input: JSON.stringify(request),
      outputFd,
      okCodes: [0, errorCodes.E_DAMAGED.exit],
    })
    if (exitCode !== 0) throw new FleetsieError('E_DAMAGED', stderr.trim(), { file: stock.path })
  })
}

/** Writes an .xz of all parts to stdout. */
function answer({ file, check, tasks }: Request): void {
  const fd = openSync(file, 'r')
  const records: IndexRecord[] = []
  write(streamHeader(check))
  for (const { rest, ranges, filters, ...block } of tasks) {
    const bytes = readFully(fd, rest)
    const parts = recodeParts({
      ...block,
      filters: { ...filters, bytes: Buffer.from(filters.bytes) },
      bytes,
      check,
      ranges,
    })
    for (const [i, part] of parts.entries()) {
      write(part)
      records.push(recordOfBlock(part, ranges[i]!.to - ranges[i]!.from, check)!)
    }
  }
  const index = encodeIndex(records)
  write(index)
  write(streamFooter(check, index.length))
}

function readFully(fd: number, { offset, length }: { offset: number; length: number }): Buffer {
  const bytes = Buffer.allocUnsafe(length)
  for (let done = 0; done < length; ) {
    const count = readSync(fd, bytes, done, length - done, offset + done)
    if (count === 0) throw damaged('the file became shorter while it was read', offset + done)
    done += count
  }
  return bytes
}

function write(bytes: Buffer): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(1, bytes, done)
}

if (process.argv[1] === program) {
  try {
    answer(JSON.parse(await text(process.stdin)) as Request)
  } catch (error) {
    const { exitCode, message } = toFleetsieError(error)
    process.stderr.write(`${message}\n`)
    process.exitCode = exitCode
  }
}
