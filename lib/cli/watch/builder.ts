/**
 * The warm half of a watch: the pipeline loaded once, the store open, one build after the other. It watches nothing; the
 * other half orders builds, and gets a new builder when code was edited, because a module cannot be unloaded.
 */
import { statSync } from 'node:fs'
import { performance } from 'node:perf_hooks'
import { pathToFileURL } from 'node:url'
import type { BuildOptions } from '../../engine/build-options.ts'
import { codeFiles, editedCode, pinCode } from '../../engine/code-digest.ts'
import type { BuildEvent } from '../../engine/events.ts'
import { topological } from '../../engine/graph.ts'
import { modulesOf, type Source } from '../../engine/stage.ts'
import { watchList } from '../../engine/watch/watch-list.ts'
import { toFleetsieError } from '../../errors.ts'
import { errorEvent } from '../error-event.ts'
import type { Project } from '../project.ts'
import { Attempt, type Goal } from './attempt.ts'
import { leftBefore, sumOf, tell } from './messages.ts'
import { standardFolders } from './standard-folders.ts'

/** The kernel's clock for files is this coarse, in milliseconds. */
const clockMs = 10

/** What is done besides building. */
export interface Followers {
  /**
   * Called when a build begins; it realises what it needs by the same build. What it reads stays in the store until its
   * promise is settled, which may be after the build; the next edit cancels the attempt in any case.
   */
  building?(attempt: Attempt): Promise<void> | undefined
  /**
   * Called after a build that changed something; a newer edit ends it by the signal. What an edit has ended is called
   * again after the next build, though that made the same.
   */
  built?(signal: AbortSignal): Promise<void> | undefined
}

interface Running {
  id: number
  attempt: Attempt
  ended: Promise<void>
}

export class Builder {
  private readonly options: BuildOptions
  private readonly project: Project
  private readonly goals: readonly Goal[]
  private readonly followers: Followers
  private readonly code: string[]
  /** Nobody knows which of two versions of it was loaded. */
  private readonly torn: boolean
  private running: Running | undefined
  /** The last one that was begun: what follows it may go on after its end. */
  private attempt: Attempt | undefined
  /** Builds, and what follows them, that may read from the store. */
  private reading = 0
  private after = new AbortController()
  /** What was called after a build has not come to its end. */
  private unfinished: boolean
  /** Of the last build that was not cancelled. */
  private last: { facts: string; ok: boolean; artifacts: string }
  private runningFacts = ''
  private wanted = 0
  /** One of the orders that wait comes from an edit. */
  private edited = false
  private queue: Promise<void> = Promise.resolve()
  private list = ''
  private introduced: boolean

  constructor(options: BuildOptions, project: Project, goals: readonly Goal[], followers: Followers) {
    this.options = options
    this.project = project
    this.goals = goals
    this.followers = followers
    const { artifacts, unfinished } = leftBefore()
    this.last = { facts: '', ok: false, artifacts }
    this.unfinished = unfinished
    this.introduced = artifacts !== ''
    pinCode()
    const modules = new Set(
      goals.flatMap(({ end }) => topological(end).flatMap(({ stage }) => modulesOf(stage))),
    )
    const roots = [pathToFileURL(project.script).href, ...modules]
    this.code = [...new Set(roots.flatMap((url) => codeFiles(url, project.cwd)))]
    this.torn = editedSinceStart(this.code)
  }

  /**
   * Builds once more, unless a later order comes before its turn. What failed is tried again after an edit only, which
   * may have mended what no fact tells.
   */
  order(id: number, edited: boolean): void {
    this.wanted = id
    this.edited ||= edited
    this.queue = this.queue.then(async () => {
      if (id === this.wanted) await this.next(id)
    })
  }

  /** Ends what is under way. */
  async end(): Promise<void> {
    this.wanted = -1
    this.after.abort()
    this.attempt?.cancel()
    await this.queue
    await this.running?.ended
    if (this.unfinished) tell({ type: 'unfinished' })
  }

  private async next(id: number): Promise<void> {
    const { edited } = this
    this.edited = false
    if (this.torn || editedCode(this.code) !== undefined) return tell({ type: 'stale' })
    const emit = (event: BuildEvent): void => tell({ type: 'event', id, event })
    const attempt = new Attempt({ ...this.options, emit }, this.goals)
    const facts = await attempt.facts()
    const settled = this.last.ok || !edited
    if (facts === this.runningFacts || (!this.running && settled && facts === this.last.facts)) {
      return tell({ type: 'done', id, result: 'unchanged', artifacts: [] })
    }
    // What it has applied until then is in out/ beside what the last build made.
    if (this.running) this.last.facts = ''
    this.attempt?.cancel()
    this.after.abort()
    await this.running?.ended
    if (id !== this.wanted) return
    this.runningFacts = facts
    this.attempt = attempt
    const running: Running = { id, attempt, ended: Promise.resolve() }
    this.running = running
    running.ended = this.run(running, facts)
  }

  private async run({ id, attempt }: Running, facts: string): Promise<void> {
    this.reading++
    let followed: Promise<void> | undefined
    try {
      this.introduce()
      followed = this.followers.building?.(attempt)
      const artifacts = await attempt.run()
      const sum = sumOf(artifacts)
      const result = sum === this.last.artifacts ? 'same' : 'built'
      this.last = { facts, ok: true, artifacts: sum }
      await this.tellList(await attempt.sources())
      tell({ type: 'done', id, result, artifacts })
      if (result === 'built' || this.unfinished) this.follow()
    } catch (error) {
      await this.failed(id, attempt, facts, error)
    } finally {
      this.runningFacts = ''
      this.running = undefined
      void Promise.resolve(followed).then(() => {
        if (--this.reading === 0) this.options.store.releaseLeases()
      })
    }
  }

  private async failed(id: number, attempt: Attempt, facts: string, error: unknown): Promise<void> {
    if (attempt.signal.aborted) return
    await this.tellList(await attempt.sources())
    this.last = { ...this.last, facts, ok: false }
    tell({ type: 'event', id, event: errorEvent(toFleetsieError(error)) })
    tell({ type: 'done', id, result: 'failed', artifacts: [] })
  }

  private follow(): void {
    this.after = new AbortController()
    const { signal } = this.after
    this.unfinished = true
    void Promise.resolve(this.followers.built?.(signal)).then(() => {
      if (!signal.aborted) this.unfinished = false
    })
  }

  /** What a target is good for, once. */
  private introduce(): void {
    if (this.introduced) return
    this.introduced = true
    for (const { name, about } of this.goals) {
      if (about) tell({ type: 'event', id: 0, event: { type: 'note', target: name, message: about } })
    }
  }

  async tellList(sources: readonly Source[] = []): Promise<void> {
    const { cwd, script } = this.project
    const list = watchList({
      cwd,
      derivations: this.goals.flatMap(({ end }) => topological(end)),
      sources,
      folders: standardFolders(cwd),
      files: [script, ...this.code],
    })
    const text = JSON.stringify(list)
    if (text === this.list) return
    this.list = text
    tell({ type: 'list', list, code: this.code })
  }
}

/**
 * An edit between the loading of a module and the reading of its digest would give old code a new key. A time in the
 * future is another machine's clock, which tells nothing.
 */
function editedSinceStart(files: readonly string[]): boolean {
  const now = Date.now()
  return files.some((file) => {
    const ctime = statSync(file, { throwIfNoEntry: false })?.ctimeMs ?? now
    return ctime > performance.timeOrigin - clockMs && ctime <= now
  })
}
