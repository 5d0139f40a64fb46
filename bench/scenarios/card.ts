/** `updatesd` beside bmaptool and cmp, on the same loop device. */
import { execFileSync } from 'node:child_process'
import { open, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { CardReport } from '../../lib/engine/events.ts'
import { eventsOf, imageOf } from '../built.ts'
import { decompressTo, rawSize, tools } from '../disk.ts'
import { inTurn, measure, repeat, type Sample, type Subject } from '../measure.ts'
import { makeProject, newText } from '../project.ts'
import { compared, type Row } from '../row.ts'
import { fleetsie } from '../workplace.ts'
import type { Bench, Scenario } from './scenario.ts'

const beside = 'bmaptool copy'
/** As the goal counts them. */
const piece = 64 * 1024

export const card: Scenario = {
  name: 'card',
  about: 'an image to a loop device: all of it, after an edit, and when nothing differs (needs root)',
  async run(bench) {
    if (process.getuid?.() !== 0) {
      return [{ name: 'card, full write', beside, notRun: 'a loop device needs root' }]
    }
    const { workplace, stock } = bench
    const project = await makeProject(workplace, 'card', stock)
    const build = project.build('image')
    const image = imageOf(build, await measure(build)).path
    const backing = join(workplace.root, 'card.img')
    await (await open(backing, 'w')).close()
    await truncate(backing, await rawSize(tools(workplace.root), image))
    const device = execFileSync('losetup', ['--find', '--show', backing], { encoding: 'utf8' }).trim()
    try {
      const peer: Subject = {
        command: 'bmaptool',
        args: ['copy', '--bmap', image.replace(/\.xz$/, '.bmap'), image, device],
        cwd: workplace.root,
        env: workplace.env,
      }
      const update = (...more: string[]): Subject =>
        fleetsie(
          workplace,
          project.folder,
          'updatesd',
          '--whole',
          device,
          '-y',
          '--yes-really',
          '--json',
          ...more,
        )
      const full = await fullWrite(bench, update('--full'), peer)
      const edited: Work = { bench, project, update: update(), device, backing }
      return [full.row, await afterEdit(edited, { subject: peer, samples: full.peer }), await nothing(edited)]
    } finally {
      execFileSync('losetup', ['--detach', device])
      await rm(backing)
    }
  },
}

async function fullWrite(
  { runs }: Bench,
  ours: Subject,
  peer: Subject,
): Promise<{ row: Row; peer: Sample[] }> {
  const samples = await inTurn(ours, peer, runs)
  const report = reportOf(samples.ours.at(-1)!)
  const row = compared({
    name: 'card, full write',
    beside,
    ours: { subject: ours, samples: samples.ours },
    peer: { subject: peer, samples: samples.peer },
    paired: true,
    goal: { of: 'ratio', atMost: 1.05 },
    about: `both from the .img.xz with its block map; ours reads all of it back as well: ${spent(report)}`,
  })
  return { row, peer: samples.peer }
}

interface Work {
  bench: Bench
  project: Awaited<ReturnType<typeof makeProject>>
  update: Subject
  device: string
  backing: string
}

/** The card has the image before the edit; the build is not measured. */
async function afterEdit(
  { bench, project, update, backing }: Work,
  peer: { subject: Subject; samples: Sample[] },
): Promise<Row> {
  const before = join(bench.workplace.root, 'before.img')
  const subject: Subject = {
    ...update,
    async before() {
      await writeFile(project.motd, newText())
      await measure(project.build('image'))
      execFileSync('cp', ['--sparse=always', backing, before])
    },
  }
  const samples = await repeat(subject, bench.runs)
  const report = reportOf(samples.at(-1)!)
  const changed = await differingPieces(before, backing)
  await rm(before)
  return compared({
    name: 'card, after an edit',
    beside,
    ours: { subject, samples },
    peer,
    paired: false,
    goal: { of: 'ratio', atMost: 1 / 20 },
    about:
      `wrote ${report.bytesWritten / 1024} KiB where ${changed} pieces of 64 KiB differ, ` +
      `${(report.bytesWritten / (changed * piece)).toFixed(2)} of them (goal 2); known by ${report.how}`,
  })
}

/** No receipt: all that the image maps is read and compared. */
async function nothing({ bench, project, update, device }: Work): Promise<Row> {
  const { workplace, runs } = bench
  const disk = join(workplace.root, 'image.img')
  await decompressTo(
    tools(workplace.root),
    imageOf(project.build('image'), await measure(project.build('image'))).path,
    disk,
  )
  const forget = async (): Promise<void> => {
    await rm(join(workplace.root, 'cache', 'fleetsie', 'cards'), { recursive: true, force: true })
    execFileSync('sync')
    await writeFile('/proc/sys/vm/drop_caches', '1')
  }
  const ours: Subject = { ...update, before: forget }
  const peer: Subject = {
    command: 'cmp',
    args: [disk, device],
    cwd: workplace.root,
    env: workplace.env,
    before: forget,
  }
  const samples = await inTurn(ours, peer, runs)
  await rm(disk)
  return compared({
    name: 'card, compare',
    beside: 'cmp',
    ours: { subject: ours, samples: samples.ours },
    peer: { subject: peer, samples: samples.peer },
    paired: true,
    goal: { of: 'ratio', atMost: 1 / 0.8 },
    about: `nothing is cached and nothing differs; ours reads what the image maps and checks the card's size: ${spent(reportOf(samples.ours.at(-1)!))}`,
  })
}

async function differingPieces(one: string, other: string): Promise<number> {
  const [a, b] = await Promise.all([open(one), open(other)])
  try {
    const [left, right] = [Buffer.alloc(16 * piece), Buffer.alloc(16 * piece)]
    let count = 0
    for (let at = 0; ; at += left.length) {
      const { bytesRead } = await a.read(left, 0, left.length, at)
      await b.read(right, 0, right.length, at)
      if (bytesRead === 0) return count
      for (let from = 0; from < bytesRead; from += piece) {
        const to = Math.min(from + piece, bytesRead)
        if (left.compare(right, from, to, from, to) !== 0) count++
      }
    }
  } finally {
    await Promise.all([a.close(), b.close()])
  }
}

function reportOf({ stdout }: Sample): CardReport {
  const report = eventsOf(stdout).find((event) => event.type === 'card')
  if (report === undefined) throw new Error('updatesd reported no card')
  return report
}

function spent({ phases }: CardReport): string {
  return Object.entries(phases)
    .map(([phase, spent]) => `${phase} ${Math.round(spent)} ms`)
    .join(', ')
}
