/** Whether a peer made an image that equals ours in what it is for: same partitions, the overlays in it, no file lost. */
import { execFileSync } from 'node:child_process'
import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { decompressTo, type Partition, readTable, tools } from '../disk.ts'
import type { PeerWork } from './peer.ts'

/** Files that an overlay or a builder adds: far below what a lost folder would take away. */
const fewFiles = 16

/** @throws with what is not equal */
export async function checkOutput({ stock, overlays, folder }: PeerWork, output: string): Promise<void> {
  const run = tools(folder)
  const [ours, theirs] = [join(folder, 'check-stock.img'), join(folder, 'check.img')]
  try {
    await decompressTo(run, stock.path, ours)
    await decompressTo(run, output, theirs)
    const [expected, made] = [
      (await readTable(run, ours)).partitions,
      (await readTable(run, theirs)).partitions,
    ]
    if (JSON.stringify(expected) !== JSON.stringify(made)) throw new Error('its partitions lie elsewhere')
    for (const partition of expected) {
      const overlay = join(overlays, `part_${partition.number}`)
      const files = await filesIn(overlay).catch(() => [])
      for (const file of files) {
        if (!read(theirs, partition, file).equals(await readFile(join(overlay, file)))) {
          throw new Error(`${file} is not in its partition ${partition.number}`)
        }
      }
      const [before, after] = [usedInodes(ours, partition), usedInodes(theirs, partition)]
      if (Math.abs(after - before) > fewFiles) throw new Error(`it has ${after} files, the stock ${before}`)
    }
  } finally {
    await rm(ours, { force: true })
    await rm(theirs, { force: true })
  }
}

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((one) => one.isFile())
    .map((one) => join(one.parentPath, one.name).slice(folder.length + 1))
}

function read(disk: string, { offset }: Partition, file: string): Buffer {
  return (
    quietly('mcopy', '-i', `${disk}@@${offset}`, `::/${file}`, '-') ??
    quietly('debugfs', '-R', `cat "/${file}"`, `${disk}?offset=${offset}`) ??
    Buffer.alloc(0)
  )
}

/** Of an ext filesystem; 0 for any other. */
function usedInodes(disk: string, { offset }: Partition): number {
  const facts = quietly('dumpe2fs', '-h', `${disk}?offset=${offset}`)?.toString() ?? ''
  const count = (name: string): number => Number(new RegExp(`^${name}: +(\\d+)`, 'm').exec(facts)?.[1] ?? 0)
  return count('Inode count') - count('Free inodes')
}

function quietly(command: string, ...args: string[]): Buffer | undefined {
  try {
    return execFileSync(command, args, { stdio: ['ignore', 'pipe', 'ignore'], maxBuffer: 2 ** 26 })
  } catch {
    return undefined
  }
}
