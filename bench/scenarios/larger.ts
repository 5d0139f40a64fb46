/** The same edit on a disk five times as large, and with five times the data, beside the edit of the stock itself. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ourRun } from '../beside.ts'
import { type Image, imageOf } from '../built.ts'
import type { Larger } from '../five-times.ts'
import { inTurn, measure, repeat, type Sample, type Subject } from '../measure.ts'
import { makeProject, newText, type Project } from '../project.ts'
import { compared, figures, type Goal, type Measured } from '../row.ts'
import { median } from '../statistics.ts'
import type { Workplace } from '../workplace.ts'
import type { Bench, Scenario } from './scenario.ts'

/** How much more than the edit of the stock itself may take. */
const factor = 1.3

export const larger: Scenario = {
  name: 'larger',
  about:
    'the edit on a disk five times as large, and with five times the data, beside the edit of the stock itself',
  async run(bench) {
    const base = await makeProject(bench.workplace, 'larger-base', bench.stock)
    await measure(base.build('image'))
    return [...(await ofKind(bench, base, 'disk')), ...(await ofKind(bench, base, 'data'))]
  },
}

async function ofKind(bench: Bench, base: Project, kind: Larger): Promise<Measured[]> {
  const { workplace, runs } = bench
  bench.say(`larger: making the image with five times the ${kind}`)
  const stock = await bench.fiveTimes(kind)
  const project = await makeProject(workplace, `larger-${kind}`, stock)
  const first = await measure(project.build('image'))
  const [ours, peer] = [edited(project), edited(base)]
  const samples = await inTurn(ours, peer, runs)
  const copying =
    kind === 'data' ? await copyAndHash(workplace, imageOf(ours, samples.ours[0]!), runs) : undefined
  const own = median(samples.peer.map(({ wall }) => wall))
  const goal: Goal = copying
    ? { of: 'wall', atMost: factor * own + copying.cp + copying.sha256 }
    : { of: 'ratio', atMost: factor }
  const { spent, output } = ourRun(ours, samples.ours)
  return [
    compared({
      name: `edit, five times the ${kind}`,
      beside: 'edit of the stock',
      ours: { subject: ours, samples: samples.ours, ...(output ? { output } : {}) },
      peer: { subject: peer, samples: samples.peer },
      paired: true,
      goal,
      spent,
      ...(copying
        ? {
            about: `goal: ${factor} × theirs + cp ${round(copying.cp)} + sha256 ${round(copying.sha256)} of the .img.xz`,
          }
        : {}),
    }),
    {
      name: `cold, five times the ${kind}`,
      ours: figures({ subject: project.build('image'), samples: [first] }),
      goal: { of: 'peak', atMost: 300e6 },
    },
  ]
}

function edited({ build, motd }: Project): Subject {
  return { ...build('image'), before: () => writeFile(motd, newText()) }
}

/** Milliseconds that nobody can do without who makes a file of that size and knows its sum: medians. */
async function copyAndHash(
  { root, env }: Workplace,
  { path }: Image,
  runs: number,
): Promise<{ cp: number; sha256: number }> {
  const copy = join(root, 'copied.img.xz')
  const clean = { cwd: root, env, before: () => rm(copy, { force: true }) }
  const cp = await repeat({ command: 'cp', args: [path, copy], ...clean }, runs)
  await rm(copy, { force: true })
  return { cp: wall(cp), sha256: median(await hashTimes(path, runs)) }
}

/** In this process, which runs already, as ours does when it hashes. */
async function hashTimes(path: string, runs: number): Promise<number[]> {
  const times: number[] = []
  for (let run = 0; run < runs; run++) {
    const started = performance.now()
    const hash = createHash('sha256')
    for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 })) hash.update(chunk as Buffer)
    hash.digest()
    times.push(performance.now() - started)
  }
  return times
}

const wall = (samples: readonly Sample[]): number => median(samples.map((sample) => sample.wall))
const round = (ms: number): string => `${Math.round(ms)} ms`
