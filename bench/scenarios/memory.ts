/** The largest single process of a build in which one stage runs and all else is known. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { eventsOf } from '../built.ts'
import { hasGnuTime, measure, type Sample, type Subject } from '../measure.ts'
import { shortReason } from '../peers/run.ts'
import { makeProject } from '../project.ts'
import { figures, type Measured, type Row } from '../row.ts'
import type { StockImage } from '../stock.ts'
import type { Scenario } from './scenario.ts'

export const memory: Scenario = {
  name: 'memory',
  about: 'peak memory of the largest single process, for every stage',
  async run({ workplace, stock }) {
    if (!hasGnuTime) return [{ name: 'memory', notRun: 'GNU time is not installed (Debian package: time)' }]
    const { folder, build } = await makeProject(workplace, 'memory', stock)
    const rows: Row[] = [ofDebian(stock)]
    const first = await measure(build('image'))
    for (const { stage } of stagesIn(first)) {
      // A deploy stage does nothing while all is as it left it.
      if (stage === 'sign') await rm(join(folder, 'out'), { recursive: true })
      rows.push(await ofStage(stage, build('image', `--no-cache=${stage}`), stock))
    }
    // Not every machine gives the rights that a script in an image needs.
    const customize = ofStage('customize', build('customized', '--no-cache=customize'), stock)
    rows.push(
      await customize.catch((error: Error) => ({
        name: 'memory: customize',
        notRun: shortReason(error),
      })),
    )
    return rows
  },
}

function ofDebian({ madeBy, about }: StockImage): Row {
  if (madeBy) return row('debian', madeBy.subject, madeBy.sample, about)
  return { name: 'memory: debian', notRun: 'takes minutes and a mirror: ask for it by --debian' }
}

async function ofStage(stage: string, subject: Subject, stock: StockImage): Promise<Row> {
  const sample = await measure(subject)
  const action = stagesIn(sample).find((event) => event.stage === stage)?.action
  return action === 'built' || action === 'applied'
    ? row(stage, subject, sample, stock.about)
    : { name: `memory: ${stage}`, notRun: `the stage did not run: ${action ?? 'no event'}` }
}

function row(stage: string, subject: Subject, sample: Sample, about: string): Measured {
  const goal = { of: 'peak', atMost: 300e6 } as const
  return { name: `memory: ${stage}`, ours: figures({ subject, samples: [sample] }), goal, about }
}

function stagesIn(sample: Sample) {
  return eventsOf(sample.stdout).filter((event) => event.type === 'stage')
}
