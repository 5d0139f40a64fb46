/** The files of a FAT filesystem in a folder: overlays take such a folder, and not every kernel knows FAT. */
import { closeSync, mkdirSync, openSync, utimesSync, writeSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import { FatReader } from '../fat/reader.ts'
import type { PartitionInfo } from '../partition-table.ts'
import { shown } from '../volume.ts'
import { withWindow } from '../window.ts'

/**
 * Copies all files of `partition` of the image `disk` into the new folder `to`. Fails with E_DAMAGED when the filesystem
 * is, and with E_INTERRUPTED.
 */
export async function copyFat(
  disk: string,
  partition: PartitionInfo,
  to: string,
  signal: AbortSignal,
): Promise<void> {
  await rm(to, { recursive: true, force: true })
  await withWindow(disk, partition, 'r', async (window) => {
    const reader = new FatReader(window)
    const seen = new Set<number>()
    const waiting = [{ id: reader.rootId, path: to }]
    const folders: { path: string; seconds: number }[] = []
    for (let next = waiting.pop(); next; next = waiting.pop()) {
      const { id, path } = next
      for (const [position] of reader.folderPlaces(id)) {
        if (seen.has(position)) throw damaged('a folder is within itself')
        seen.add(position)
      }
      mkdirSync(path, { mode: 0o755 })
      folders.push({ path, seconds: reader.node(id).mtime.seconds })
      for (const [name, child] of reader.list(id)) {
        if (name === '' || name === '.' || name === '..' || /[/\0]/.test(name)) {
          throw damaged(`${JSON.stringify(shown(name))} is no name`)
        }
        const inside = join(path, shown(name))
        if (reader.node(child).type === 'directory') waiting.push({ id: child, path: inside })
        else copyFile(reader, child, inside)
      }
      // Folder by folder, so that a signal is heard.
      await new Promise((resolve) => setImmediate(resolve))
      if (signal.aborted) throw new FleetsieError('E_INTERRUPTED', 'copying the FAT files was interrupted')
    }
    for (const { path, seconds } of folders.reverse()) utimesSync(path, seconds, seconds)
  })
}

function copyFile(reader: FatReader, id: number, path: string): void {
  const { mode, mtime } = reader.node(id)
  const file = openSync(path, 'wx', mode)
  try {
    for (const { at, bytes } of reader.pieces(id)) {
      for (let done = 0; done < bytes.length; )
        done += writeSync(file, bytes, done, bytes.length - done, at + done)
    }
  } finally {
    closeSync(file)
  }
  utimesSync(path, mtime.seconds, mtime.seconds)
}

function damaged(what: string): FleetsieError {
  return new FleetsieError('E_DAMAGED', `the filesystem is damaged: ${what}`, {
    hint: 'check the partition with `fsck.fat -n`',
  })
}
