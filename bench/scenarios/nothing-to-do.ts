/** A build in which nothing changed: what is paid for every call. */
import { execFileSync } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { shellQuoted } from '../../lib/formats/shell.ts'
import { inTurn, measure, type Subject } from '../measure.ts'
import { nix } from '../peers/nix.ts'
import { peerNotRun } from '../peers/run.ts'
import { makeProject, type Project } from '../project.ts'
import { compared, type Goal, type Row } from '../row.ts'
import type { StockImage } from '../stock.ts'
import type { Workplace } from '../workplace.ts'
import type { Bench, Scenario } from './scenario.ts'

interface Idle {
  name: string
  about?: string
  /** Its last build has been done. */
  ready(): Promise<Subject>
}

export const nothingToDo: Scenario = {
  name: 'nothing-to-do',
  about:
    'a build with nothing to do: by the bin beside node itself, make and nix-build; by zx beside an empty script',
  async run(bench) {
    const { workplace, runs, stock } = bench
    const { checkout, env } = workplace
    const project = await makeProject(workplace, 'nothing', stock)
    const bin = project.build('image')
    await measure(bin)
    const rows: Row[] = []
    for (const { name, about, ready } of idle(bench, stock, project)) {
      try {
        const peer = await ready()
        const goal: Goal = { of: 'wall', atMost: 200 }
        const samples = await inTurn(bin, peer, runs)
        rows.push(pair('nothing to do, bin', name, bin, peer, samples, goal, about))
      } catch (error) {
        rows.push(peerNotRun('nothing to do, bin', name, error))
      }
    }
    await writeFile(join(checkout, 'empty.ts'), '')
    const byZx = (...args: string[]): Subject => ({
      command: 'node_modules/.bin/zx',
      args,
      cwd: checkout,
      env: { ...env, NODE_OPTIONS: '--import=tsx' },
    })
    const [ours, empty] = [byZx('pipeline.ts', 'build'), byZx('empty.ts')]
    const samples = await inTurn(ours, empty, runs)
    const goal: Goal = { of: 'ratio', atMost: 1.5 }
    rows.push(
      pair('nothing to do, zx', 'zx empty.ts', ours, empty, samples, goal, 'a project of its sources'),
    )
    return rows
  },
}

function pair(
  name: string,
  beside: string,
  ours: Subject,
  peer: Subject,
  samples: Awaited<ReturnType<typeof inTurn>>,
  goal: Goal,
  about?: string,
): Row {
  return compared({
    name,
    beside,
    ours: { subject: ours, samples: samples.ours },
    peer: { subject: peer, samples: samples.peer },
    paired: true,
    goal,
    ...(about ? { about } : {}),
  })
}

function idle({ workplace }: Bench, stock: StockImage, { overlays }: Project): Idle[] {
  const { root, env } = workplace
  return [
    {
      name: 'node -e 0',
      about: 'the start of node, which is in ours',
      ready: async () => ({ command: process.execPath, args: ['-e', '0'], cwd: root, env }),
    },
    { name: 'make', about: 'looks at times only', ready: () => madeByMake(workplace, stock, overlays) },
    {
      name: 'nix-build',
      about: 'a derivation of the same inputs',
      async ready() {
        const folder = join(root, 'nothing-nix')
        await mkdir(folder)
        const { subject: edited } = await nix.ready({ workplace, stock, overlays, folder })
        const { before: _, ...subject } = edited
        // What is built counts for nothing here: a copy is made sooner than an image.
        await writeFile(join(folder, 'seed.sh'), 'cp "$1" "$3"\n')
        await measure(subject)
        return subject
      },
    },
  ]
}

/** make has no store: it compares the times of inputs and output, and so would rebuild after a checkout. */
async function madeByMake(
  { root, env }: Workplace,
  { path }: StockImage,
  overlays: string,
): Promise<Subject> {
  const folder = join(root, 'nothing-make')
  await mkdir(folder)
  const inputs = `${path} $(shell find ${shellQuoted(overlays)} -type f)`
  await writeFile(join(folder, 'Makefile'), `out.img.xz: ${inputs}\n\tcp ${shellQuoted(path)} $@\n`)
  const subject: Subject = { command: 'make', args: [], cwd: folder, env }
  execFileSync('make', { cwd: folder, env, stdio: 'ignore' })
  return subject
}
