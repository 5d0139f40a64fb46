/** What a stage is given to keep things in when nothing of earlier runs may be seen, and nothing is kept. */
import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import type { BuildContext } from './stage.ts'

/** `folder` lasts as long as the run. */
export function fromNothing(folder: string): Pick<BuildContext<unknown>, 'carry' | 'memo'> {
  return {
    carry: async (_, use) => use(await mkdtemp(join(folder, 'carried-'))),
    memo: { get: async () => undefined, put: async () => {} },
  }
}
