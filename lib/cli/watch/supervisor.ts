/**
 * The lasting half of a watch: looks at files, orders builds from a second process, and starts a new one of those when
 * code was edited. It loads no pipeline.ts itself, so that a broken one cannot end it.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Emit } from '../../engine/events.ts'
import { Burst, type Edits } from '../../engine/watch/burst.ts'
import { isBelow, type WatchList } from '../../engine/watch/watch-list.ts'
import { Watcher } from '../../engine/watch/watcher.ts'
import { FleetsieError } from '../../errors.ts'
import { type ErrorEvent, errorEvent } from '../error-event.ts'
import { builderEnvironment, type Left, type Order, type Report, sumOf } from './messages.ts'
import { Narrator } from './narrator.ts'
import { codeFolders, standardFolders } from './standard-folders.ts'

/** Then only an edit starts another. */
const mostStale = 3

interface Options {
  script: string
  cwd: string
  /** The command line for the builder. */
  args: readonly string[]
  emit: Emit
  /** Folders in which nothing counts: the store. */
  without: readonly string[]
  signal: AbortSignal
}

const entry = fileURLToPath(
  new URL(`./entry${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url),
)

/** Watches until the signal. Fails with E_USAGE when the command line is wrong. */
export async function supervise(options: Options): Promise<void> {
  const supervisor = new Supervisor(options)
  await supervisor.run()
}

class Supervisor {
  private readonly options: Options
  private readonly narrator: Narrator
  private readonly watcher: Watcher
  private readonly burst: Burst
  private list: WatchList
  private code: readonly string[] = []
  private builder: ChildProcess | undefined
  private lastId = 0
  /** Builders that found their code edited since the last edit that was heard of. */
  private stale = 0
  /** For the next builder. */
  private readonly left: Left = { artifacts: '', unfinished: false }
  /** This builder has loaded the script. */
  private loaded = false
  /** The script and the command line were good once. */
  private everLoaded = false
  /** One thing after the other: setting watches, ordering, ending and starting a builder. */
  private queue: Promise<void> = Promise.resolve()
  private fail: (error: unknown) => void = () => {}

  constructor(options: Options) {
    const { script, cwd, emit, without } = options
    this.options = options
    this.narrator = new Narrator(emit, cwd)
    this.list = { trees: standardFolders(cwd), files: [script], locks: [] }
    this.burst = new Burst(
      (edits) => this.enqueue(() => this.edited(edits)),
      () => this.list.locks.some((lock) => existsSync(lock)),
    )
    this.watcher = new Watcher({
      onHint: (path) => this.burst.add(path),
      onWarning: (message) => emit({ type: 'warning', message }),
      without,
    })
  }

  async run(): Promise<void> {
    const { signal } = this.options
    try {
      // Before the builder looks at anything: what is edited from now on is heard of.
      await this.watcher.arm(this.list)
      await new Promise<void>((resolve, reject) => {
        this.fail = reject
        signal.addEventListener('abort', () => resolve(), { once: true })
        if (signal.aborted) resolve()
        else this.enqueue(async () => this.start())
      })
    } finally {
      this.burst.stop()
      await this.queue
      await this.end()
      await this.watcher.close()
    }
  }

  private enqueue(work: () => Promise<void>): void {
    this.queue = this.queue
      .then(async () => {
        if (!this.options.signal.aborted) await work()
      })
      .catch((error: unknown) => this.fail(error))
  }

  private async edited(edits: Edits): Promise<void> {
    this.stale = 0
    await this.watcher.settle(edits.paths)
    const id = ++this.lastId
    if (edits.paths.length > 0) this.narrator.begins(id, edits)
    if (this.builder && !edits.paths.some((path) => this.isCode(path)))
      return this.order({ type: 'build', id, edited: edits.paths.length > 0 })
    this.narrator.tellEdits()
    await this.end()
    this.start()
  }

  /** A file that a builder has loaded, or that it would load when it lies where code lies. */
  private isCode(path: string): boolean {
    if (path === this.options.script || this.code.includes(path)) return true
    // What an editor keeps for itself while a file is open, and its probe whether it may write.
    if (/^\.|~$|^4913$/.test(basename(path))) return false
    return codeFolders(this.options.cwd).some((folder) => isBelow(folder, path))
  }

  private order(order: Order): void {
    if (this.builder?.connected) this.builder.send(order, () => {})
  }

  private start(): void {
    const { script, cwd, args, emit } = this.options
    if (!existsSync(script)) {
      emit(errorEvent(new FleetsieError('E_INPUT', 'it is gone; waiting until it is back', { file: script })))
      return
    }
    const builder = fork(entry, [script, ...args], {
      cwd,
      env: builderEnvironment(process.env, this.left),
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    this.builder = builder
    this.loaded = false
    let said = false
    builder.on('message', (report) => {
      const { type } = report as Report
      said ||= type === 'unloadable'
      // The last that it tells, when the next one is as good as started.
      if (type === 'unfinished') this.left.unfinished = true
      // In turn: who reads of the end of a build and edits something is heard, because watches are set before.
      this.enqueue(async () => {
        if (this.builder === builder) await this.heed(report as Report)
      })
    })
    const exited = once(builder, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
    // What it told before it ended may be read after that.
    Promise.all([exited, once(builder, 'disconnect')]).then(
      ([[code, signal]]) => {
        const how = signal === null ? `with exit code ${code}` : `by ${signal}`
        const why = said ? undefined : `the process that builds was ended ${how}`
        this.enqueue(async () => this.lost(builder, why))
      },
      (error: Error) => this.enqueue(async () => this.lost(builder, error.message)),
    )
  }

  /** A builder that ended by itself: the next edit starts another. */
  private lost(builder: ChildProcess, why: string | undefined): void {
    if (this.builder !== builder) return
    this.builder = undefined
    if (why !== undefined) {
      this.options.emit(errorEvent(new FleetsieError('E_STAGE', `${why}; the next edit starts another`)))
    }
    this.narrator.done(this.lastId, 'failed', [])
  }

  private async heed(report: Report): Promise<void> {
    switch (report.type) {
      case 'list':
        this.loaded = true
        this.everLoaded = true
        this.code = report.code
        this.left.unfinished = false
        return this.look(report.list)
      case 'event':
        return this.narrator.event(report.event)
      case 'done':
        if (report.artifacts.length > 0) this.left.artifacts = sumOf(report.artifacts)
        return this.narrator.done(report.id, report.result, report.artifacts)
      case 'stale':
        await this.end()
        if (this.stale++ < mostStale) return this.start()
        this.options.emit(errorEvent(new FleetsieError('E_INPUT', 'the code is edited again and again')))
        return this.narrator.done(this.lastId, 'failed', [])
      case 'unfinished':
        return
      case 'unloadable':
        return this.refused(report.error)
    }
  }

  /** A wrong command line stays wrong; a wrong script is edited. */
  private refused(error: ErrorEvent): void {
    const { code, message, hint } = error
    if (code !== 'E_USAGE' || this.everLoaded) this.narrator.event(error)
    else this.fail(new FleetsieError(code, message, hint === undefined ? {} : { hint }))
  }

  private async look(list: WatchList): Promise<void> {
    this.list = list
    await this.watcher.arm(list)
    // What was edited before the watches were set.
    this.burst.add()
  }

  /** Ends the builder and waits for that: it ends its programs first. */
  private async end(): Promise<void> {
    const builder = this.builder
    this.builder = undefined
    if (!builder?.pid || builder.exitCode !== null || builder.signalCode !== null) return
    const exited = [once(builder, 'exit')]
    // What it tells last may be read after that.
    if (builder.connected) exited.push(once(builder, 'disconnect'))
    if (builder.connected) builder.send({ type: 'end' } satisfies Order, () => {})
    // One that loads the script yet may never hear of it, and has nothing to end.
    if (!this.loaded) builder.kill()
    await Promise.all(exited)
  }
}
