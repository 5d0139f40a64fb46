/** Copies of this program and projects that use them, for tests of the whole command line. */
import { cp, mkdir, mkdtemp, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { BuildEvent } from '../../lib/engine/events.ts'
import { removeTree } from '../../lib/engine/store/remove.ts'
import { checkout, type Ended, events, program, shellEnvironment, succeeds } from './npm-project.ts'

export interface Finished extends Ended {
  /** What --json printed. */
  events: BuildEvent[]
  /** `stage action` → because. */
  stages: Map<string, string>
}

interface How {
  env?: Record<string, string>
  /** A program and its first arguments, to run Node by: setpriv, unshare. */
  by?: string[]
  node?: string
}

/** A copy of the program, a project and a store, all below one folder. */
export class Scratch {
  readonly folder: string
  readonly code: string
  readonly project: string
  readonly store: string

  constructor(folder: string, code: string, name = 'project', store = join(folder, 'store')) {
    this.folder = folder
    this.code = code
    this.project = join(folder, name)
    this.store = store
  }

  env(added: Record<string, string> = {}): NodeJS.ProcessEnv {
    const own = { FLEETSIE_STORE: this.store, XDG_CONFIG_HOME: join(this.folder, 'config') }
    return shellEnvironment({ ...own, ...added })
  }

  /** Command and arguments of one call. */
  command(args: readonly string[], how: How = {}): [string, string[]] {
    const loader = pathToFileURL(join(this.code, 'node_modules/tsx/dist/loader.mjs')).href
    const all = [...(how.by ?? []), how.node ?? process.execPath, '--import', loader, 'pipeline.ts', ...args]
    return [all[0]!, all.slice(1)]
  }

  /** Runs one verb to its end. */
  async run(args: readonly string[], how: How = {}): Promise<Finished> {
    const [command, rest] = this.command(args, how)
    const ended = await program(command, rest, { cwd: this.project, env: this.env(how.env) })
    const told = events(ended.stdout)
    const stages = told.flatMap((event) =>
      event.type === 'stage' ? [[`${event.stage} ${event.action}`, event.because] as const] : [],
    )
    return { ...ended, events: told, stages: new Map(stages) }
  }

  /** Writes a file of the project. */
  async write(name: string, content: string | Uint8Array, mode = 0o644): Promise<void> {
    const path = join(this.project, name)
    await mkdir(join(path, '..'), { recursive: true })
    await writeFile(path, content, { mode })
  }

  remove(): Promise<void> {
    return removeTree(this.folder)
  }
}

const codeParts = ['lib', 'stages', 'units', 'package.json', 'tsconfig.json', 'scripts/requirements.json']

/** The sources of this program, where nobody edits them meanwhile. */
export async function copyCode(to: string): Promise<void> {
  await mkdir(to, { recursive: true })
  for (const name of codeParts) await cp(join(checkout, name), join(to, name), { recursive: true })
  await symlink(join(checkout, 'node_modules'), join(to, 'node_modules'))
}

/** The checkout as a user has it: program and project in one folder called `name`, under git. `store`: one that is kept. */
export async function scratchCheckout(name = 'project', store?: string): Promise<Scratch> {
  const folder = await mkdtemp(join(tmpdir(), 'fleetsie-e2e-'))
  const scratch = new Scratch(folder, join(folder, name), name, store)
  await copyCode(scratch.project)
  for (const name of ['pipeline.ts', 'overlays', 'fixtures/sample.img.xz', 'debian.lock', '.gitignore']) {
    await cp(join(checkout, name), join(scratch.project, name), { recursive: true })
  }
  await track(scratch.project)
  return scratch
}

/** A project of its own that uses a copy of the program: with the stock image, an empty overlay and no git. */
export async function scratchProject(code: string): Promise<Scratch> {
  const scratch = new Scratch(await mkdtemp(join(tmpdir(), 'fleetsie-e2e-')), code)
  await mkdir(join(scratch.project, 'overlays'), { recursive: true })
  await symlink(join(checkout, 'fixtures/sample.img.xz'), join(scratch.project, 'stock.img.xz'))
  await symlink(join(code, 'node_modules'), join(scratch.project, 'node_modules'))
  await scratch.write('package.json', '{ "type": "module" }')
  return scratch
}

export async function track(project: string): Promise<void> {
  await succeeds('git', ['init', '-q'], { cwd: project })
  await succeeds('git', ['add', '-A'], { cwd: project })
}
