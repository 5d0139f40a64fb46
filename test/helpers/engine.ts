/** A project in a temporary folder with stages that count their runs, over a real store. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { TestContext } from 'node:test'
import { pathToFileURL } from 'node:url'
import * as v from 'valibot'
import { Build } from '../../lib/engine/build.ts'
import type { BuildOptions } from '../../lib/engine/build-options.ts'
import type { Artifact, BuildEvent } from '../../lib/engine/events.ts'
import {
  type BuildContext,
  type DeployContext,
  type Deployed,
  type Derivation,
  input,
  type Source,
  type SourceHost,
  stage,
} from '../../lib/engine/stage.ts'
import type { Store } from '../../lib/engine/store/store.ts'
import { buildTarget } from '../../lib/engine/target.ts'
import { type FleetsieError, toFleetsieError } from '../../lib/errors.ts'
import { openStore, temporaryFolder } from './store.ts'

const options = v.strictObject({
  from: v.optional(v.array(input()), []),
  text: v.optional(v.string(), ''),
  file: v.optional(v.string()),
})
type Options = v.InferOutput<typeof options>
type Context = BuildContext<Options>

export interface TestStage {
  (given?: v.InferInput<typeof options>): Derivation
  /** How often it ran. */
  runs: number
}

interface Wish {
  pool?: 'cpu' | 'io' | 'net' | 'mount'
  tools?: string[]
  fixed?: string
  /** A file of the project, in place of this one. */
  module?: string
  /** Files of the project. */
  bundled?: string[]
  /** In place of writing `text` and the inputs' texts into the file `text`. */
  run?: (context: Context) => Promise<void>
  identity?: () => string
  always?: boolean
  apply?: (context: DeployContext<Options>) => Promise<Deployed[]>
}

/** What one build did. `lines` has `stage action because` for each stage that ended, sorted by name. */
export interface Outcome {
  artifacts: Artifact[]
  error: FleetsieError | undefined
  events: BuildEvent[]
  lines: string[]
}

export class Rig {
  readonly cwd: string
  readonly store: Store

  constructor(cwd: string, store: Store) {
    this.cwd = cwd
    this.store = store
  }

  /** Declares a stage. Its output is the file `text`. */
  stage(name: string, wish: Wish = {}): TestStage {
    const common = {
      name,
      module: wish.module === undefined ? import.meta.url : pathToFileURL(join(this.cwd, wish.module)).href,
      ...(wish.bundled
        ? { bundled: wish.bundled.map((file) => pathToFileURL(join(this.cwd, file)).href) }
        : {}),
      summary: '',
      description: '',
      example: '',
      options,
      ...(wish.pool ? { pool: wish.pool } : {}),
      tools: () => wish.tools ?? [],
      sources: async ({ file }: Options, host: SourceHost): Promise<Source[]> => {
        if (file === undefined) return []
        const from = join(host.cwd, file)
        return [{ path: file, type: 'file', mode: 0o644, sha256: await host.sha256(from), from }]
      },
    }
    const made = wish.apply
      ? stage({
          ...common,
          kind: 'deploy',
          ...(wish.always ? { always: true } : {}),
          identity: async () => wish.identity?.() ?? '',
          apply: async (context) => {
            counted.runs++
            return wish.apply!(context)
          },
        })
      : stage({
          ...common,
          kind: 'build',
          fixedOutput: () => wish.fixed,
          run: async (context) => {
            counted.runs++
            await (wish.run ?? writeText)(context)
          },
        })
    const counted = Object.assign((given: v.InferInput<typeof options> = {}) => made(given), { runs: 0 })
    return counted
  }

  write(name: string, content: string): void {
    mkdirSync(dirname(join(this.cwd, name)), { recursive: true })
    writeFileSync(join(this.cwd, name), content)
  }

  /** A build as a new process would run it, but for the store, which stays open. */
  newBuild(events: BuildEvent[], options: Partial<BuildOptions> = {}): Build {
    return new Build({
      store: this.store,
      emit: (event) => events.push(event),
      cwd: this.cwd,
      signal: new AbortController().signal,
      ...options,
    })
  }

  /** Builds targets at once, as the command line does. */
  async build(
    targets: Derivation | Record<string, Derivation>,
    options: Partial<BuildOptions> = {},
  ): Promise<Outcome> {
    const events: BuildEvent[] = []
    const build = this.newBuild(events, options)
    const roots = 'stage' in targets ? { t: targets as Derivation } : targets
    const results = await Promise.allSettled(
      Object.entries(roots).map(([name, root]) => buildTarget(build, name, root)),
    )
    const failed = results.find((result) => result.status === 'rejected')
    return {
      artifacts: results.flatMap((result) => (result.status === 'fulfilled' ? result.value : [])),
      error: failed && toFleetsieError(failed.reason),
      events,
      lines: stageLines(events, Object.keys(roots).length > 1),
    }
  }

  /** Evicts all that no root keeps, as if every earlier build had been another process. */
  async evict(): Promise<string[]> {
    this.store.releaseLeases()
    return (await this.store.gc()).evicted.map(({ name }) => name).sort()
  }
}

/** A project and an open store; both are gone after the test. */
export async function rig(t: TestContext): Promise<Rig> {
  const folder = temporaryFolder(t)
  mkdirSync(join(folder, 'project'))
  const { store } = await openStore(t, join(folder, 'store'))
  return new Rig(join(folder, 'project'), store)
}

/** `stage action because` for each stage that ended, sorted. `multi` puts the target before. */
export function stageLines(events: readonly BuildEvent[], multi: boolean): string[] {
  return events
    .flatMap((event) =>
      event.type === 'stage'
        ? [`${multi ? `${event.target}/` : ''}${event.stage} ${event.action} ${event.because}`]
        : [],
    )
    .sort()
}

/** `text` and the texts of the inputs. */
export async function textOf({ options, sources }: Pick<Context, 'options' | 'sources'>): Promise<string> {
  const parts = await Promise.all(options.from.map(({ path }) => readFile(join(path, 'text'), 'utf8')))
  const files = await Promise.all(
    sources.map((source) => (source.type === 'file' ? readFile(source.from, 'utf8') : '')),
  )
  return [options.text, ...files, ...parts].join('')
}

export async function writeText(context: Context): Promise<void> {
  await writeFile(join(context.out, 'text'), await textOf(context))
}

/** A place where stages wait until the test lets them go. */
export class Gate {
  inside = 0
  most = 0
  #open = false
  #waiting: (() => void)[] = []
  #arrivals: { count: number; resolve: () => void }[] = []

  /** What a stage calls. */
  async pass(): Promise<void> {
    this.inside++
    this.most = Math.max(this.most, this.inside)
    for (const { count, resolve } of this.#arrivals) if (this.inside >= count) resolve()
    if (!this.#open) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    this.inside--
  }

  /** When so many are inside. */
  arrived(count: number): Promise<void> {
    return this.inside >= count
      ? Promise.resolve()
      : new Promise((resolve) => this.#arrivals.push({ count, resolve }))
  }

  open(): void {
    this.#open = true
    for (const go of this.#waiting) go()
  }
}
