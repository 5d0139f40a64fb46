/** The folders, copies and links that the mounts of a desk need. */
import { chmod, chown, mkdir, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'
import type { Caller } from '../caller.ts'
import { makeFolder } from '../replace-file.ts'
import { isFolder } from './check-places.ts'
import { copyFat } from './fat-copy.ts'
import { replaceLink } from './labels.ts'
import {
  copyPlace,
  imageLink,
  mergedLink,
  mergedPlace,
  originalPlace,
  privateFolder,
  upperPlace,
  workPlace,
} from './places.ts'
import type { Plan } from './plan.ts'

/** Everything but the upper folders. What is new belongs to the caller. */
export async function prepare(
  folder: string,
  disk: string,
  { partitions, mounts }: Plan,
  caller: Caller | undefined,
  signal: AbortSignal,
): Promise<void> {
  const make = (place: string): Promise<void> => makeFolder(join(folder, place), 0o755, caller)
  await make(privateFolder)
  await make('merged')
  await replaceLink(join(folder, imageLink), relative(join(folder, privateFolder), disk), caller)
  for (const { target } of mounts) await make(target)
  for (const partition of partitions) {
    const { number } = partition
    await make(workPlace(number))
    await replaceLink(join(folder, mergedLink(number)), `../${mergedPlace(number)}`, caller)
    if (partition.filesystem === 'vfat')
      await copyFat(disk, partition, join(folder, copyPlace(number)), signal)
  }
}

/** A new upper folder is what the partition's top folder is: its owner and mode are what the merged view shows. */
export async function makeUpper(folder: string, number: number): Promise<void> {
  const upper = join(folder, upperPlace(number))
  if (await isFolder(upper)) return
  await mkdir(upper)
  const { mode, uid, gid } = await stat(join(folder, originalPlace(number)))
  await chmod(upper, mode & 0o7777)
  if (process.geteuid!() === 0) await chown(upper, uid, gid)
}
