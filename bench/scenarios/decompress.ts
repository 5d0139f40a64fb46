/** `decompress` beside xz itself, both to a synced file. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { inTurn, type Subject } from '../measure.ts'
import { makeProject } from '../project.ts'
import { compared } from '../row.ts'
import type { Scenario } from './scenario.ts'

export const decompress: Scenario = {
  name: 'decompress',
  about: 'the stage decompress, a whole build with all else cached, beside `xz -dc -T0` and sync',
  async run({ workplace, runs, stock }) {
    const project = await makeProject(workplace, 'decompress', stock)
    const target = join(workplace.root, 'by-xz.img')
    const ours = project.build('table', '--no-cache=decompress')
    const peer: Subject = {
      command: 'sh',
      args: ['-c', 'xz -dc -T0 "$1" > "$2" && sync "$2"', 'sh', stock.path, target],
      cwd: workplace.root,
      env: workplace.env,
      before: () => rm(target, { force: true }),
    }
    const samples = await inTurn(ours, peer, runs)
    await rm(target, { force: true })
    return [
      compared({
        name: 'decompress',
        beside: 'xz -dc -T0 and sync',
        ours: { subject: ours, samples: samples.ours },
        peer: { subject: peer, samples: samples.peer },
        paired: true,
        goal: { of: 'ratio', atMost: 1.15 },
        about: stock.about,
      }),
    ]
  },
}
