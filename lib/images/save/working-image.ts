/** A writable raw copy of an image of the store. */
import { chmod } from 'node:fs/promises'
import { join } from 'node:path'
import type { Run } from '../../engine/process.ts'

/**
 * Copies `disk.img` of an image object into `folder` and gives the copy's path. `cp` keeps holes and, where the
 * filesystem can, shares the blocks; fs.copyFile would fill each hole with zeros.
 */
export async function workingImage(run: Run, image: string, folder: string): Promise<string> {
  const copy = join(folder, 'disk.img')
  await run('cp', ['--sparse=always', '--reflink=auto', '--', join(image, 'disk.img'), copy])
  await chmod(copy, 0o644)
  return copy
}
