/** Other changes than an edit of a file, and a build that was killed, each beside the shell script. */
import { execFileSync, spawn } from 'node:child_process'
import { mkdir, rm, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { besidePeer, ourRun } from '../beside.ts'
import { git } from '../git.ts'
import { measure, repeat, type Subject } from '../measure.ts'
import { shortReason } from '../peers/run.ts'
import { makeProject, type Project, projectAt, sameFromNothing } from '../project.ts'
import type { Row } from '../row.ts'
import type { Bench, Scenario } from './scenario.ts'

const mostRuns = 3

interface Change {
  name: string
  about: string
  target?: string
  /** Makes the change of one run; `build` builds the target, uncounted. */
  make(run: number, project: Project, build: () => Promise<unknown>): Promise<void>
  /** Only when it is about more than one file of an overlay: whether bytes depend on it is looked at there. */
  verify?: boolean
}

const changes: readonly Change[] = [
  {
    name: 'only times touched',
    about: 'no content changed: nothing is rebuilt',
    make: async (run, { motd }) => utimes(motd, new Date(), new Date(1e12 + run * 1e6)),
  },
  {
    name: 'new file',
    about: 'a file more in the overlay',
    make: (run, project) => addFile(project, `new-${run}`),
  },
  {
    name: 'file deleted',
    about: 'a file less in the overlay',
    async make(run, project, build) {
      if (run === 0) {
        for (let n = 0; n <= mostRuns; n++) await addFile(project, `gone-${n}`)
        await build()
      }
      git(project.overlays, 'rm', '--quiet', '--force', `part_2/etc/gone-${run}`)
    },
  },
  {
    name: 'second variant',
    about: 'another target of the same stock, with an overlay more',
    target: 'second',
    make: (run, { folder }) =>
      writeFile(join(folder, 'variants/second/part_2/etc/variant'), `the second, ${run}\n`),
  },
  {
    name: 'script changed',
    about: 'a script that runs in the image; the shell script beside it runs none',
    target: 'scripted',
    verify: true,
    make: (run, { folder }) =>
      writeFile(join(folder, 'customize.sh'), `echo customized ${run} > /etc/customized\n`),
  },
  {
    name: 'package added',
    about: 'a .deb more, installed in the image by dpkg; the shell script beside it installs none',
    target: 'packaged',
    verify: true,
    make: (run, { folder }) => addPackage(join(folder, 'packages'), `fleetsie-bench-${run}`),
  },
  {
    name: 'killed, run again',
    about: 'an edit, kill -9 while the image was being saved, the same build again',
    verify: true,
    async make(run, { motd, build }) {
      await writeFile(motd, `killed ${run} times\n`)
      await killedAt('save', build('image'))
    },
  },
]

export const otherChanges: Scenario = {
  name: 'changes',
  about: `${changes.map(({ name }) => name).join(', ')}, fresh clone: beside the shell script, which starts anew each time`,
  async run(bench) {
    const project = await makeProject(bench.workplace, 'changes', bench.stock)
    await measure(project.build('image'))
    const rows: Row[] = []
    for (const change of changes) rows.push(await rowOf(bench, project, change))
    rows.push(await freshClone(bench, project))
    return rows
  },
}

async function rowOf(bench: Bench, project: Project, change: Change): Promise<Row> {
  const { name, about, target = 'image', verify, make } = change
  bench.say(`changes: ${name}`)
  const build = project.build(target)
  try {
    await measure(build)
    const subject: Subject = { ...build, before: (run) => make(run, project, () => measure(build)) }
    const samples = await repeat(subject, Math.min(bench.runs, mostRuns))
    const same = verify ? await sameFromNothing(bench.workplace, build, samples.at(-1)!) : undefined
    return besidePeer(name, ourRun(subject, samples, same), await bench.seed(), { about })
  } catch (error) {
    return { name, beside: 'shell script', notRun: shortReason(error) }
  }
}

/** The store is shared, as a cache on a build server is; the folder was never built in. */
async function freshClone(bench: Bench, project: Project): Promise<Row> {
  git(project.folder, 'add', '--all')
  git(project.folder, 'commit', '--quiet', '--message=bench')
  await measure(project.build('image'))
  const clone = join(bench.workplace.root, 'clone')
  const subject: Subject = {
    ...projectAt(bench.workplace, clone).build('image'),
    async before() {
      await rm(clone, { recursive: true, force: true })
      git(bench.workplace.root, 'clone', '--quiet', project.folder, clone)
    },
  }
  const samples = await repeat(subject, Math.min(bench.runs, mostRuns))
  return besidePeer('fresh clone, warm store', ourRun(subject, samples), await bench.seed(), {
    about: 'the store of the machine is kept; signing is all that is left to do',
  })
}

async function addFile({ overlays }: Project, name: string): Promise<void> {
  await writeFile(join(overlays, 'part_2/etc', name), `${name}\n`)
  git(overlays, 'add', '--all')
}

async function addPackage(folder: string, name: string): Promise<void> {
  const root = join(folder, '..', `${name}.tree`)
  await mkdir(join(root, 'DEBIAN'), { recursive: true })
  await mkdir(join(root, 'usr/share/doc', name), { recursive: true })
  const control = { Package: name, Version: '1', Architecture: 'all', Maintainer: 'bench <bench@localhost>' }
  const lines = Object.entries({ ...control, Description: 'a package to install' })
  await writeFile(join(root, 'DEBIAN/control'), lines.map((line) => `${line.join(': ')}\n`).join(''))
  await writeFile(join(root, 'usr/share/doc', name, 'README'), `${name}\n`)
  const env = { ...process.env, SOURCE_DATE_EPOCH: '1783728000' }
  execFileSync('dpkg-deb', ['--build', '--root-owner-group', root, join(folder, `${name}.deb`)], {
    env,
    stdio: 'pipe',
  })
  await rm(root, { recursive: true })
}

/** Starts a build, and kills it when `stage` has begun. What it started itself is left to end, as after a real kill -9. */
function killedAt(stage: string, { command, args, cwd, env }: Subject): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'ignore'] })
    let seen = ''
    let killed = false
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      seen += text
      if (killed || !seen.includes(`"type":"start","target":"image","stage":"${stage}"`)) return
      killed = child.kill('SIGKILL')
    })
    child.once('error', reject)
    child.once('exit', () =>
      killed ? resolve() : reject(new Error(`the build ended before ${stage} began`)),
    )
  })
}
