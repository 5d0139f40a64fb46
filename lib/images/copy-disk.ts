/** A writable copy of a raw image. */
import { chmod } from 'node:fs/promises'
import type { Run } from '../engine/process.ts'

/**
 * `cp` keeps holes and, where the filesystem can, shares the blocks; fs.copyFile would fill each hole with zeros.
 * `to` must not be there yet.
 */
export async function copyDisk(run: Run, from: string, to: string): Promise<void> {
  await run('cp', ['--sparse=always', '--reflink=auto', '--', from, to])
  await chmod(to, 0o644)
}
