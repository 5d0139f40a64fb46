/**
 * Recodes parts of stock blocks in a process of its own, which runs this file as its program: several of them use
 * several processors, what they hold in memory is none of ours, and an abort ends them at once.
 */
import { writeSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import type { Run } from '../../engine/process.ts'
import { errorCodes, FleetsieError, inFile, toFleetsieError } from '../../errors.ts'
import { recordOfBlock } from '../../formats/xz/block.ts'
import type { CheckId } from '../../formats/xz/check.ts'
import { encodeIndex, type IndexRecord } from '../../formats/xz/index-field.ts'
import { streamFooter, streamHeader } from '../../formats/xz/stream.ts'
import { readerOf } from '../reads.ts'
import { type RecodeTask, recodeParts } from './recode-parts.ts'
import type { Stock } from './stock.ts'
import { writtenBlocks } from './written-blocks.ts'

interface Request {
  file: string
  check: CheckId
  tasks: readonly RecodeTask[]
}

const program = fileURLToPath(import.meta.url)

/** Here and now, where that is quicker than starting a process. @throws E_DAMAGED naming the stock */
export async function recodeHere(tasks: readonly RecodeTask[], stock: Stock): Promise<Buffer[]> {
  const made: Buffer[] = []
  for (const task of tasks) {
    const parts = () => recodeParts(readerOf(stock.file), task, stock.index.check)
    made.push(...(await inFile(stock.path, parts)))
  }
  return made
}

/** A finished block for each range of each task. @throws E_DAMAGED naming the stock */
export async function recodeBlocks(
  tasks: readonly RecodeTask[],
  stock: Stock,
  { run, tmp }: { run: Run; tmp: string },
): Promise<Buffer[]> {
  const { check } = stock.index
  const request: Request = { file: stock.path, check, tasks }
  const lengths = tasks.flatMap(({ ranges }) => ranges.map(({ from, to }) => to - from))
  const name = `recoded-${tasks[0]!.rest.offset}.xz`
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
async function answer({ file, check, tasks }: Request): Promise<void> {
  const stock = await open(file)
  const records: IndexRecord[] = []
  write(streamHeader(check))
  for (const task of tasks) {
    for (const [i, block] of (await recodeParts(readerOf(stock), task, check)).entries()) {
      const { from, to } = task.ranges[i]!
      write(block)
      records.push(recordOfBlock(block, to - from, check)!)
    }
  }
  const index = encodeIndex(records)
  write(index)
  write(streamFooter(check, index.length))
  await stock.close()
}

function write(bytes: Buffer): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(1, bytes, done)
}

if (process.argv[1] === program) {
  try {
    await answer(JSON.parse(await text(process.stdin)) as Request)
  } catch (error) {
    const { exitCode, message } = toFleetsieError(error)
    process.stderr.write(`${message}\n`)
    process.exitCode = exitCode
  }
}
