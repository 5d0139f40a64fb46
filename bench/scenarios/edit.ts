/** One file of an overlay edited, to the signed artifact, beside a shell script that does it all again. */
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { inTurn, type Subject } from '../measure.ts'
import { compared, type Measured } from '../row.ts'
import { fleetsie, makeProject } from '../workplace.ts'
import type { Bench, Scenario, StockImage } from './scenario.ts'

export const edit: Scenario = {
  name: 'edit',
  about: 'one file of an overlay edited: to the signed artifact, beside bench/seed.sh, which signs nothing',
  async run(bench) {
    const { checkout } = bench.workplace
    const sample = { path: join(checkout, 'fixtures/sample.img.xz'), os: 'Debian', about: 'the sample' }
    return [
      await editOf(bench, 'edit, sample', sample),
      await editOf(bench, 'edit, large', await bench.image()),
    ]
  },
}

async function editOf({ workplace, runs }: Bench, name: string, stock: StockImage): Promise<Measured> {
  const project = await makeProject(workplace, name.replaceAll(/\W+/g, '-'), stock.path, stock.os)
  const motd = join(project, 'overlays/part_2/etc/motd')
  const target = join(workplace.root, 'by-seed.img.xz')
  const ours: Subject = {
    ...fleetsie(workplace, project, 'build', 'image'),
    before: (run) => writeFile(motd, `edited ${run} times\n`),
  }
  const peer: Subject = {
    command: 'sh',
    args: [join(workplace.checkout, 'bench/seed.sh'), stock.path, join(project, 'overlays'), target],
    cwd: workplace.root,
    env: workplace.env,
  }
  const samples = await inTurn(ours, peer, runs)
  await rm(target, { force: true })
  return compared({ name, ours, peer, samples, about: stock.about })
}
