/** For verbs that run a program outside of any stage. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Run, runner } from '../engine/process.ts'

/** Gives `work` a `Run` and an empty folder that is gone afterwards. */
export async function temporaryRun<T>(
  signal: AbortSignal,
  work: (run: Run, folder: string) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'fleetsie-'))
  try {
    return await work(runner({ home: folder, signal }), folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
