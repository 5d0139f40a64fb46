/** The files of a stock image as folders, for peers that make filesystems anew. Owners stay as they are: needs root. */
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { decompressTo, type Partition, readTable, type Table, tools } from '../disk.ts'
import type { PeerWork } from './peer.ts'

export interface Tree extends Table {
  boot: Filesystem
  root: Filesystem
  /** Bytes of the whole disk. */
  size: number
}

export interface Filesystem extends Partition {
  folder: string
  label: string
  uuid: string
}

/** Takes apart a stock image of a FAT and an ext4 partition behind an MBR, as `fixtures/` and the stage `debian` make them. */
export async function takeApart({ stock, folder }: PeerWork): Promise<Tree> {
  if (process.getuid?.() !== 0) throw new Error('needs root, to keep the owners of files')
  const run = tools(folder)
  const disk = join(folder, 'stock.img')
  await decompressTo(run, stock.path, disk)
  const table = await readTable(run, disk)
  const [boot, root, more] = table.partitions
  if (table.label !== 'dos' || !boot || !root || more)
    throw new Error('its recipe here is for an MBR with two partitions')
  const trees = { boot: join(folder, 'boot'), root: join(folder, 'root') }
  await mkdir(trees.boot)
  await mkdir(trees.root)
  const fat = await probe(boot.offset)
  const ext = await probe(root.offset)
  if (fat['TYPE'] !== 'vfat' || ext['TYPE'] !== 'ext4') throw new Error('its recipe here is for FAT and ext4')
  await run('mcopy', ['-s', '-m', '-i', `${disk}@@${boot.offset}`, '::*', trees.boot])
  await run('debugfs', ['-R', `rdump / ${trees.root}`, `${disk}?offset=${root.offset}`])
  await rm(disk)
  const size = root.offset + root.size
  return { ...table, size, boot: of(boot, fat, trees.boot), root: of(root, ext, trees.root) }

  async function probe(offset: number): Promise<Record<string, string>> {
    const { stdout } = await run('blkid', ['-p', '-o', 'export', '-O', `${offset}`, disk])
    return Object.fromEntries(
      stdout
        .toString()
        .trim()
        .split('\n')
        .map((line) => line.split('=') as [string, string]),
    )
  }
}

function of(partition: Partition, facts: Record<string, string>, folder: string): Filesystem {
  return { ...partition, folder, label: facts['LABEL'] ?? '', uuid: facts['UUID'] ?? '' }
}
