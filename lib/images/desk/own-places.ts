/** Whether a desk's own folders are folders: root works in them, in a folder that may be a user's, and goes nowhere else. */
import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import { isFolder } from './check-places.ts'
import { lockPlace, privateFolder } from './places.ts'

/** By the folder that they are in, the outermost first. */
const own: readonly [folder: string, names: RegExp][] = [
  ['', /^(?:\.desk|original|merged|overlays|\.new_\d+)$/],
  [privateFolder, /^(?:work_\d+|fat_\d+|replaced)$/],
  ['original', /^part_\d+$/],
  ['overlays', /^part_\d+$/],
]

/** Fails with E_UNSAFE when one of them is a file or a link: what is written there would be elsewhere. */
export async function refuseLinks(folder: string): Promise<void> {
  for (const [inside, names] of own) {
    const found = await readdir(join(folder, inside)).catch(() => [])
    for (const name of found) if (names.test(name)) await isFolder(join(folder, inside, name))
  }
  const lock = join(folder, lockPlace)
  const stats = await lstat(lock).catch(() => undefined)
  if (stats && (!stats.isFile() || stats.size > 0)) {
    throw new FleetsieError('E_UNSAFE', 'this is none of ours, and the lock has to be here', {
      file: lock,
      hint: 'move it away',
    })
  }
}
