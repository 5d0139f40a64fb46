/** The stock image again, on a disk five times as large, with the same data or with five times the data. */
import { type FileHandle, mkdir, open, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Run } from '../lib/engine/process.ts'
import { compressTo, decompressTo, growLast, putBack, tools } from './disk.ts'

const MiB = 1024 * 1024
const times = 5

export type Larger = 'disk' | 'data'

/** Makes it at `output` from `stock`, whose last partition is ext. Takes minutes for a stock of some GiB. */
export async function makeFiveTimes(kind: Larger, stock: string, output: string, tmp: string): Promise<void> {
  await mkdir(tmp, { recursive: true })
  const run = tools(tmp)
  const disk = join(tmp, 'disk.img')
  const partition = join(tmp, 'root.img')
  await decompressTo(run, stock, disk)
  const { size } = await stat(disk)
  const { offset } = await growLast(run, disk, times * size, partition)
  if (kind === 'data') await fill(run, disk, size, partition, tmp)
  await putBack(run, partition, disk, offset)
  await compressTo(run, disk, output)
  await rm(tmp, { recursive: true })
}

/** Writes what the first `size` bytes of the disk hold four times more, as files of 1 MiB, each a little different. */
async function fill(run: Run, disk: string, size: number, partition: string, tmp: string): Promise<void> {
  const source = await open(disk)
  try {
    for (let copy = 1; copy < times; copy++) {
      const commands = ['mkdir /bench', `mkdir /bench/${copy}`].slice(copy === 1 ? 0 : 1)
      let files = 0
      for await (const piece of dense(source, size)) {
        // Another byte in each 4 KiB: as hard to compress, and no block as it was.
        for (let at = copy; at < piece.length; at += 4096) piece[at]! ^= copy
        const path = join(tmp, `file-${files}`)
        await writeFile(path, piece)
        commands.push(`write ${path} /bench/${copy}/file-${files++}`)
      }
      await writeFile(join(tmp, 'commands'), `${commands.join('\n')}\n`)
      await run('debugfs', ['-w', '-f', join(tmp, 'commands'), partition])
    }
  } finally {
    await source.close()
  }
}

/** Pieces of 1 MiB of what is not zero, in blocks of 4 KiB; the last one is shorter. */
async function* dense(file: FileHandle, size: number): AsyncGenerator<Buffer> {
  const block = 4096
  const zero = Buffer.alloc(block)
  const read = Buffer.alloc(MiB)
  let piece = Buffer.alloc(MiB)
  let used = 0
  for (let at = 0; at < size; at += MiB) {
    const { bytesRead } = await file.read(read, 0, Math.min(MiB, size - at), at)
    for (let from = 0; from < bytesRead; from += block) {
      const part = read.subarray(from, Math.min(from + block, bytesRead))
      if (part.equals(zero)) continue
      used += part.copy(piece, used)
      if (used < MiB) continue
      yield piece
      piece = Buffer.alloc(MiB)
      used = 0
    }
  }
  if (used > 0) yield piece.subarray(0, used)
}
