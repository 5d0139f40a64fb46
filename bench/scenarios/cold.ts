/** From nothing: an empty store, a stock .img.xz, one overlay file and `install`, to the signed .img.xz. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { besidePeer, ourRun } from '../beside.ts'
import { imageOf } from '../built.ts'
import { repeat, type Subject } from '../measure.ts'
import { makeProject } from '../project.ts'
import { figures } from '../row.ts'
import type { Scenario } from './scenario.ts'

export const cold: Scenario = {
  name: 'cold',
  about: 'an empty store: stock .img.xz to signed .img.xz, and how large that is, beside the shell script',
  async run({ workplace, runs, stock, seed }) {
    const project = await makeProject(workplace, 'cold', stock)
    const store = join(workplace.root, 'cold-store')
    const build = project.build('image')
    const empty: Subject = {
      ...build,
      env: { ...build.env, FLEETSIE_STORE: store },
      before: async () => {
        await rm(store, { recursive: true, force: true })
        await rm(join(project.folder, 'out'), { recursive: true, force: true })
      },
    }
    const samples = await repeat(empty, Math.min(runs, 3))
    await rm(store, { recursive: true })
    const sums = new Set(samples.map((sample) => imageOf(empty, sample).sha256))
    const ours = ourRun(empty, samples, samples.length > 1 ? sums.size === 1 : undefined)
    const peer = await seed()
    return [
      besidePeer('cold', ours, peer, {
        goal: { of: 'ratio', atMost: 1 / 12 },
        about: 'every block of the stock decoded and checked; the script checks and signs nothing',
      }),
      {
        name: 'size of the .img.xz',
        beside: peer.name,
        ours: figures(ours),
        peer: figures(peer),
        goal: { of: 'size', atMost: 1.02 },
      },
    ]
  },
}
