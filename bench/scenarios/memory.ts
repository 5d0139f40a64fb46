/** The largest single process of a build in which one stage runs and all else is known. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { hasGnuTime, measure } from '../measure.ts'
import { figures, type Row } from '../row.ts'
import { fleetsie, makeProject } from '../workplace.ts'
import type { Scenario } from './scenario.ts'

interface StageEvent {
  type: string
  stage: string
  action: string
}

export const memory: Scenario = {
  name: 'memory',
  about: 'peak memory of the largest single process, for every stage',
  async run({ workplace, image }) {
    if (!hasGnuTime) return [{ name: 'memory', notRun: 'GNU time is not installed (Debian package: time)' }]
    const stock = await image()
    const project = await makeProject(workplace, 'memory', stock.path, stock.os)
    const first = await measure(fleetsie(workplace, project, 'build', 'image', '--json'))
    const rows: Row[] = []
    for (const { stage } of stagesIn(first.stdout)) {
      // A deploy stage does nothing while all is as it left it.
      if (stage === 'sign') await rm(join(project, 'out'), { recursive: true })
      const subject = fleetsie(workplace, project, 'build', 'image', '--json', `--no-cache=${stage}`)
      const sample = await measure(subject)
      const event = stagesIn(sample.stdout).find((event) => event.stage === stage)
      const name = `memory: ${stage}`
      rows.push(
        event?.action === 'built' || event?.action === 'applied'
          ? {
              name,
              runs: 1,
              ours: figures(subject, [sample]),
              goal: { of: 'peak', atMost: 300e6 },
              about: stock.about,
            }
          : { name, notRun: `the stage did not run: ${event?.action ?? 'no event'}` },
      )
    }
    return rows
  },
}

function stagesIn(output: string): StageEvent[] {
  const events = output
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as StageEvent)
  return events.filter((event) => event.type === 'stage')
}
