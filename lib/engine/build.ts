/**
 * The scheduler: makes the outputs of derivations exist, each at most once, and says why.
 * Keys are computed upwards from recorded digests alone, so an input is only built or fetched when a
 * stage that needs it really runs.
 */
import { FleetsieError, toFleetsieError } from '../errors.ts'
import type { BuildOptions } from './build-options.ts'
import { BuildRecorder } from './build-recorder.ts'
import { because } from './explain.ts'
import { inputsOf } from './graph.ts'
import { collectFacts, type Facts, fixedOutput, keyOf, withInputs } from './key.ts'
import type { Manifest } from './manifest.ts'
import { inputNames, type Node, type Nodes } from './nodes.ts'
import { Pools } from './pool.ts'
import type { Work } from './run-stage.ts'
import type { Derivation, Digest, Key, Source, SourceHost } from './stage.ts'
import type { RecordedBuild, RecordedRun, StoredObject } from './store/types.ts'

/** A derivation whose output's digest is known. The output itself may have been evicted. */
export interface Resolved {
  key: Key
  digest: Digest
}

/** What is known about one target. Each reports its own stages, although a shared one runs once. */
interface Progress {
  resolved: Map<Derivation, Promise<Resolved>>
  /** Lines about evicted results, told at the end unless something needs them and they are made again. */
  unneeded: Map<Key, () => void>
}

export class Build {
  readonly options: BuildOptions
  readonly pools: Pools
  private readonly recorder = new BuildRecorder()
  private readonly facts = new Map<Derivation, Promise<Facts>>()
  private readonly definitionKeys = new Map<Derivation, Promise<Key>>()
  private readonly progress = new Map<Nodes, Progress>()
  /** What this build makes or has made, by key: a second stage of the same key joins the first. */
  private readonly made = new Map<Key, { node: Node; object: Promise<StoredObject> }>()
  private readonly notes = new Set<string>()
  private readonly reported = new WeakSet<FleetsieError>()
  private failure: FleetsieError | undefined

  constructor(options: BuildOptions) {
    this.options = { ...options, emit: this.recorder.listening(options.emit) }
    this.pools = new Pools(options.jobs)
  }

  /** What the store knows a target by: pipelines in other folders may have one of the same name. */
  targetId(target: string): string {
    return `${this.options.cwd} ${target}`
  }

  /** What a target's stages did in this build; undefined: nothing. */
  recordOf(target: string): RecordedBuild | undefined {
    return this.recorder.of(target)
  }

  recordRun(node: Node, key: Key, manifest: Manifest): void {
    this.options.store.recordRun(this.targetId(node.target), node.name, key, manifest)
  }

  previousRun(node: Node): RecordedRun | undefined {
    return this.options.store.previousRun(this.targetId(node.target), node.name)
  }

  /** To be called at the end of a target: tells of results that nobody needed, and records the build. */
  end(target: string, nodes: Nodes): void {
    for (const tell of this.progressOf(nodes).unneeded.values()) tell()
    const { store, emit } = this.options
    const record = this.recordOf(target)
    try {
      if (record) store.recordBuild(this.targetId(target), record)
    } catch (error) {
      // Called whether or not the build failed, whose error says more.
      emit({
        type: 'warning',
        target,
        message: `this build was not recorded: ${toFleetsieError(error).message}`,
      })
    }
  }

  private progressOf(nodes: Nodes): Progress {
    const known = this.progress.get(nodes) ?? { resolved: new Map(), unneeded: new Map() }
    this.progress.set(nodes, known)
    return known
  }

  /** The output's digest, building only what has to run. */
  resolve(nodes: Nodes, derivation: Derivation): Promise<Resolved> {
    const { resolved } = this.progressOf(nodes)
    const promise = resolved.get(derivation) ?? this.resolveNow(nodes, derivation)
    resolved.set(derivation, promise)
    return promise
  }

  private async resolveNow(nodes: Nodes, derivation: Derivation): Promise<Resolved> {
    const node = nodes.get(derivation)!
    const started = performance.now()
    const { manifest, key } = await this.contentKey(nodes, derivation)
    const { store } = this.options
    const trace = this.mayLookUp(derivation) && !this.options.check ? store.trace(key) : undefined
    if (trace !== undefined && !this.made.has(key)) {
      const reason = this.cachedReason(nodes, node, key, manifest)
      const tell = (): void => this.done(node, 'cached', reason, started)
      if (store.tombstone(key)) this.progressOf(nodes).unneeded.set(key, tell)
      else tell()
      this.recordRun(node, key, manifest)
      return { key, digest: trace }
    }
    const object = await this.make(nodes, derivation, manifest, key)
    return { key, digest: object.digest }
  }

  /** The output itself, present in the store and leased to this process. */
  async realise(nodes: Nodes, derivation: Derivation): Promise<StoredObject> {
    const { key, digest } = await this.resolve(nodes, derivation)
    const present = this.options.store.object(digest)
    if (present) return present
    const { manifest } = await this.contentKey(nodes, derivation)
    return this.make(nodes, derivation, manifest, key)
  }

  /** The manifest over inputs' digests, and its key. */
  async contentKey(
    nodes: Nodes,
    derivation: Derivation,
  ): Promise<{ manifest: Manifest; key: Key; facts: Facts }> {
    this.beginFacts(nodes, derivation)
    const facts = await this.factsOf(nodes, derivation)
    const digests = new Map<Derivation, Digest>()
    if (facts.manifest['output'] === undefined) {
      const inputs = inputsOf(derivation).map((input) => input.derivation)
      const results = await settle(inputs.map((input) => this.resolve(nodes, input)))
      results.forEach((result, index) => {
        digests.set(inputs[index]!, result.digest)
      })
    }
    const manifest = withInputs(derivation, facts, (input) => digests.get(input)!)
    return { manifest, key: keyOf(manifest), facts }
  }

  /** Runs the stage or gets its output from a substituter; joins whoever does so already. */
  private make(nodes: Nodes, derivation: Derivation, manifest: Manifest, key: Key): Promise<StoredObject> {
    const node = nodes.get(derivation)!
    this.progressOf(nodes).unneeded.delete(key)
    const first = this.made.get(key)
    if (first) return this.join(node, first, manifest, key)
    const object = this.makeNow(nodes, node, manifest, key).catch((error: unknown) => {
      throw this.fail(node, error, key)
    })
    this.made.set(key, { node, object })
    return object
  }

  private async join(
    node: Node,
    first: { node: Node; object: Promise<StoredObject> },
    manifest: Manifest,
    key: Key,
  ): Promise<StoredObject> {
    const started = performance.now()
    const object = await first.object
    if (first.node !== node) {
      this.done(node, 'cached', `${first.node.target}/${first.node.name} has just built it`, started)
      this.recordRun(node, key, manifest)
    }
    return object
  }

  private async makeNow(nodes: Nodes, node: Node, manifest: Manifest, key: Key): Promise<StoredObject> {
    const { store, check } = this.options
    const started = performance.now()
    const mayLookUp = this.mayLookUp(node.derivation)
    let object = mayLookUp ? store.lookup(key) : undefined
    const cached = object !== undefined
    if (object && !check) this.done(node, 'cached', 'another process has just built it', started)
    else if (!object && mayLookUp) object = await this.substituted(nodes, node, key, manifest)
    if (!object || check) {
      // Inputs come before the lock: who holds a lock waits for no other, so none can wait in a circle.
      const inputs = await this.realiseInputs(nodes, node.derivation)
      const { sources } = await this.factsOf(nodes, node.derivation)
      const definitionKey = await this.definitionKey(node.derivation)
      const work = { key, definitionKey, manifest, sources, inputs }
      object ??= await this.buildLocked(nodes, node, work)
      if (check) await this.buildAgain(node, work, object)
      if (check && cached) this.done(node, 'cached', 'built again and found equal', started)
    }
    this.recordRun(node, key, manifest)
    return object
  }

  private async substituted(
    nodes: Nodes,
    node: Node,
    key: Key,
    manifest: Manifest,
  ): Promise<StoredObject | undefined> {
    if (!this.options.substituters?.length) return undefined
    const started = performance.now()
    const definitionKey = await this.definitionKey(node.derivation)
    const inputs = manifest['output'] === undefined ? inputsOf(node.derivation) : []
    const resolved = await settle(inputs.map((input) => this.resolve(nodes, input.derivation)))
    const digests = resolved.map(({ digest }) => digest)
    const { substitute } = await import('./substitute.ts')
    const found = await substitute(this.options, node, { key, definitionKey, manifest, inputs: digests })
    if (found) this.done(node, 'substituted', `it was found in ${found.origin}`, started)
    return found?.object
  }

  private async realiseInputs(nodes: Nodes, derivation: Derivation): Promise<Map<Derivation, StoredObject>> {
    const wanted = inputsOf(derivation).map((input) => input.derivation)
    const objects = await settle(wanted.map((input) => this.realise(nodes, input)))
    return new Map(objects.map((object, index) => [wanted[index]!, object]))
  }

  /** Builds unless another process did so while this one waited for its lock. */
  private async buildLocked(nodes: Nodes, node: Node, work: Work): Promise<StoredObject> {
    const { store, emit, signal } = this.options
    const { target, name: stage, derivation } = node
    const waitedFor = (holder: string): void =>
      emit({ type: 'waiting', target, stage, message: `waiting for ${holder}` })
    const lock = await store.lock(work.key, waitedFor, signal, stage)
    try {
      const looked = performance.now()
      const found = this.mayLookUp(derivation) ? store.lookup(work.key) : undefined
      if (found) {
        this.done(node, 'cached', 'another process has just built it', looked)
        return found
      }
      const because = this.buildReason(nodes, node, work.key, work.manifest)
      const run = async (): Promise<StoredObject> => {
        const started = performance.now()
        emit({ type: 'start', target, stage, because })
        const { runStage } = await import('./run-stage.ts')
        const object = await runStage(this.options, node, work)
        this.done(node, 'built', because, started)
        return object
      }
      return await this.inPool(node, run, work.key)
    } finally {
      lock.release()
    }
  }

  private buildAgain(node: Node, work: Work, first: StoredObject): Promise<void> {
    const again = async (): Promise<void> => {
      const { compareRebuild } = await import('./run-stage.ts')
      await compareRebuild(this.options, node, work, first)
    }
    return this.inPool(node, again, work.key)
  }

  /** After a failure nothing new begins, unless the user asked to go on. */
  inPool<T>(node: Node, work: () => Promise<T>, key?: Key): Promise<T> {
    return this.pools.use(node.derivation.stage.pool ?? 'cpu', async () => {
      if (this.options.signal.aborted) throw interrupted(node)
      if (this.failure && !this.options.keepGoing) throw this.failure
      try {
        return await work()
      } catch (error) {
        // Before the place goes to the next stage, which must see it.
        throw this.fail(node, error, key)
      }
    })
  }

  /** Tells of a failure once, where it happened; the same error then ends all that depends on it. */
  fail(node: Node, error: unknown, key?: Key): FleetsieError {
    const { emit, signal, store } = this.options
    const known = error instanceof FleetsieError
    const failure = !known && signal.aborted ? interrupted(node) : toFleetsieError(error)
    if (this.reported.has(failure)) return failure
    this.reported.add(failure)
    this.failure ??= failure
    const { code, message } = failure
    const log = key === undefined ? undefined : store.log(key)
    const told = { type: 'failed', target: node.target, stage: node.name, code, message } as const
    emit(log === undefined ? told : { ...told, log })
    return failure
  }

  /** Looks at all that a key depends on at once: what one stage waits for, git for instance, goes on beside the others. */
  private beginFacts(nodes: Nodes, derivation: Derivation): void {
    if (this.facts.has(derivation)) return
    // Whoever needs them awaits them as well.
    this.factsOf(nodes, derivation).catch(() => {})
    if (fixedOutput(derivation) !== undefined) return
    for (const { derivation: input } of inputsOf(derivation)) this.beginFacts(nodes, input)
  }

  factsOf(nodes: Nodes, derivation: Derivation): Promise<Facts> {
    const known = this.facts.get(derivation)
    if (known) return known
    const node = nodes.get(derivation)!
    const promise = collectFacts(derivation, this.factsHost(node)).catch((error: unknown) => {
      throw this.fail(node, error)
    })
    this.facts.set(derivation, promise)
    return promise
  }

  /** The files outside the store that stages read, of those whose key was asked for; a broken stage has none. */
  async sources(): Promise<Source[]> {
    const facts = await Promise.allSettled(this.facts.values())
    return facts.flatMap((result) => (result.status === 'fulfilled' ? result.value.sources : []))
  }

  /** The key over inputs' definition keys: names the output before anything is built. */
  definitionKey(derivation: Derivation): Promise<Key> {
    const known = this.definitionKeys.get(derivation)
    if (known) return known
    const compute = async (): Promise<Key> => {
      const facts = await this.facts.get(derivation)!
      const keys = new Map<Derivation, Key>()
      for (const { derivation: input } of inputsOf(derivation)) {
        if (this.facts.has(input)) keys.set(input, await this.definitionKey(input))
      }
      return keyOf(withInputs(derivation, facts, (input) => keys.get(input)!))
    }
    const promise = compute()
    this.definitionKeys.set(derivation, promise)
    return promise
  }

  private factsHost(node: Node) {
    const { store, epoch, cacheEpoch, cwd } = this.options
    return {
      cwd,
      epoch,
      cacheEpoch,
      sha256: (file: string) => store.sha256(file),
      toolVersion: (sha256: string, ask: () => Promise<string>) => store.toolVersion(sha256, ask),
      note: (message: string) => this.noteOnce(node, message),
    } satisfies SourceHost & Record<string, unknown>
  }

  /** A shared stage asks for its sources once for each target; its remarks are made once. */
  private noteOnce(node: Node, message: string): void {
    if (this.notes.has(message)) return
    this.notes.add(message)
    this.options.emit({ type: 'note', target: node.target, stage: node.name, message })
  }

  mayLookUp(derivation: Derivation): boolean {
    const { noCache } = this.options
    return noCache === undefined || (noCache !== true && !noCache.has(derivation.stage.name))
  }

  cachedReason(nodes: Nodes, node: Node, key: Key, manifest: Manifest): string {
    const previous = this.previousRun(node)
    if (previous?.key === key) return 'nothing changed'
    if (previous === undefined) return 'it was built before with the same inputs'
    return `built before with the same inputs; since the last run ${because(previous.manifest, manifest, inputNames(nodes, node.derivation))}`
  }

  buildReason(nodes: Nodes, node: Node, key: Key, manifest: Manifest): string {
    const { store } = this.options
    if (!this.mayLookUp(node.derivation)) return '--no-cache'
    const tombstone = store.tombstone(key)
    if (tombstone) {
      const day = new Date(tombstone.at).toISOString().slice(0, 10)
      return `its result was evicted on ${day} (${tombstone.reason})`
    }
    return because(this.previousRun(node)?.manifest, manifest, inputNames(nodes, node.derivation))
  }

  done(
    node: Node,
    action: 'built' | 'cached' | 'substituted' | 'applied' | 'unchanged',
    reason: string,
    started: number,
  ): void {
    const ms = Math.round(performance.now() - started)
    this.options.emit({ type: 'stage', target: node.target, stage: node.name, action, because: reason, ms })
  }
}

function interrupted(node: Node): FleetsieError {
  return new FleetsieError('E_INTERRUPTED', `${node.name} was interrupted`)
}

/** Like Promise.all, but waits for all before it fails, so that nothing runs on unseen. */
async function settle<T>(promises: Promise<T>[]): Promise<T[]> {
  const results = await Promise.allSettled(promises)
  return results.map((result) => {
    if (result.status === 'rejected') throw result.reason
    return result.value
  })
}
