/** A build in which nothing changed: what is paid for every call. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { inTurn, measure, type Subject } from '../measure.ts'
import { compared } from '../row.ts'
import { fleetsie } from '../workplace.ts'
import type { Scenario } from './scenario.ts'

export const nothingToDo: Scenario = {
  name: 'nothing-to-do',
  about: 'a build with nothing to do, by the bin beside `node -e 0`, by zx beside an empty script',
  async run({ workplace, runs }) {
    const { checkout, env } = workplace
    const bin = fleetsie(workplace, checkout, 'build')
    await measure(bin)
    const node: Subject = { command: process.execPath, args: ['-e', '0'], cwd: checkout, env }

    await writeFile(join(checkout, 'empty.ts'), '')
    const byZx = (...args: string[]): Subject => ({
      command: 'node_modules/.bin/zx',
      args,
      cwd: checkout,
      env: { ...env, NODE_OPTIONS: '--import=tsx' },
    })
    const ours = byZx('pipeline.ts', 'build')
    const empty = byZx('empty.ts')
    return [
      compared({
        name: 'nothing to do, bin',
        ours: bin,
        peer: node,
        samples: await inTurn(bin, node, runs),
        goal: { of: 'wall', atMost: 250 },
      }),
      compared({
        name: 'nothing to do, zx',
        ours,
        peer: empty,
        samples: await inTurn(ours, empty, runs),
        goal: { of: 'ratio', atMost: 1.5 },
      }),
    ]
  },
}
