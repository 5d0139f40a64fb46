/**
 * The scheduler: makes the outputs of derivations exist, each at most once, and says why.
 * Keys are computed upwards from recorded digests alone, so an input is only built or fetched when a
 * stage that needs it really runs.
 */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type FleetsieError, toFleetsieError } from '../errors.ts'
import { deploy } from './deploy.ts'
import type { Artifact, Emit } from './events.ts'
import { because, type InputNames } from './explain.ts'
import { inputsOf, nodeNames, topological } from './graph.ts'
import { collectFacts, type Facts, keyOf, withInputs } from './key.ts'
import type { Manifest } from './manifest.ts'
import { Pools } from './pool.ts'
import { compareRebuild, runStage } from './run-stage.ts'
import type { Derivation, Digest, Key, SourceHost } from './stage.ts'
import type { Store } from './store/store.ts'
import type { StoredObject } from './store/types.ts'
import type { Substituter } from './substituter.ts'

export interface BuildOptions {
  store: Store
  emit: Emit
  /** The folder of pipeline.ts. */
  cwd: string
  signal: AbortSignal
  jobs?: number
  keepGoing?: boolean
  /** Stages that are not looked up: their names, or true for all. */
  noCache?: true | ReadonlySet<string>
  /** Build every stage once more and compare. */
  check?: boolean
  /** SOURCE_DATE_EPOCH in seconds. */
  epoch?: number
  cacheEpoch?: string
  substituters?: readonly Substituter[]
  /** Called with the work folder of a stage that failed, before it is thrown away. */
  debugShell?: (folder: string) => Promise<void>
}

/** A derivation whose output's digest is known. The output itself may have been evicted. */
export interface Resolved {
  key: Key
  digest: Digest
}

/** A node of one target's graph, as events call it. */
export interface Node {
  target: string
  name: string
  derivation: Derivation
}

export class Build {
  readonly options: BuildOptions
  readonly pools: Pools
  private readonly facts = new Map<Derivation, Promise<Facts>>()
  private readonly definitionKeys = new Map<Derivation, Promise<Key>>()
  private readonly resolved = new Map<Derivation, Promise<Resolved>>()
  /** Stages that run now, by key: a second one of the same key joins the first. */
  private readonly running = new Map<Key, Promise<StoredObject>>()
  private readonly notes = new Set<string>()
  private failure: FleetsieError | undefined

  constructor(options: BuildOptions) {
    this.options = options
    this.pools = new Pools(options.jobs)
  }

  /** Builds a target and, if its last stage is a deploy stage, applies it. */
  async target(name: string, root: Derivation): Promise<Artifact[]> {
    const names = nodeNames(root)
    const nodes = new Map<Derivation, Node>()
    for (const [derivation, label] of names) nodes.set(derivation, { target: name, name: label, derivation })
    if (root.stage.kind === 'deploy') return deploy(this, nodes, root)
    const object = await this.realise(nodes, root)
    this.options.store.setRoot(`${this.options.cwd} ${name}`, [object.digest], this.options.cwd)
    return this.listArtifacts(object.path)
  }

  /** The output's digest, building only what has to run. */
  resolve(nodes: Map<Derivation, Node>, derivation: Derivation): Promise<Resolved> {
    const known = this.resolved.get(derivation)
    if (known) return known
    const promise = this.resolveNow(nodes, derivation)
    this.resolved.set(derivation, promise)
    return promise
  }

  private async resolveNow(nodes: Map<Derivation, Node>, derivation: Derivation): Promise<Resolved> {
    const node = nodes.get(derivation)!
    const started = performance.now()
    const { manifest, key } = await this.contentKey(nodes, derivation)
    const trace = this.mayLookUp(derivation) ? this.options.store.trace(key) : undefined
    if (trace !== undefined && !this.options.check) {
      this.done(node, 'cached', this.cachedReason(nodes, node, key, manifest), started)
      this.options.store.recordRun(node.target, node.name, key, manifest)
      return { key, digest: trace }
    }
    const object = await this.make(nodes, derivation, manifest, key)
    return { key, digest: object.digest }
  }

  /** The output itself, present in the store and leased to this process. */
  async realise(nodes: Map<Derivation, Node>, derivation: Derivation): Promise<StoredObject> {
    const { key, digest } = await this.resolve(nodes, derivation)
    const present = this.options.store.object(digest)
    if (present) return present
    const { manifest } = await this.contentKey(nodes, derivation)
    return this.make(nodes, derivation, manifest, key)
  }

  /** The manifest over inputs' digests, and its key. */
  async contentKey(
    nodes: Map<Derivation, Node>,
    derivation: Derivation,
  ): Promise<{ manifest: Manifest; key: Key; facts: Facts }> {
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
  private make(
    nodes: Map<Derivation, Node>,
    derivation: Derivation,
    manifest: Manifest,
    key: Key,
  ): Promise<StoredObject> {
    const running = this.running.get(key)
    if (running) return running
    const promise = this.makeLocked(nodes, derivation, manifest, key).finally(() => this.running.delete(key))
    this.running.set(key, promise)
    return promise
  }

  private async makeLocked(
    nodes: Map<Derivation, Node>,
    derivation: Derivation,
    manifest: Manifest,
    key: Key,
  ): Promise<StoredObject> {
    const { store, emit, signal } = this.options
    const node = nodes.get(derivation)!
    // Inputs first, without a lock: a process holds one lock at a time, so none can wait in a circle.
    const inputs = new Map<Derivation, StoredObject>()
    if (manifest['output'] === undefined) {
      const wanted = inputsOf(derivation).map((input) => input.derivation)
      const objects = await settle(wanted.map((input) => this.realise(nodes, input)))
      objects.forEach((object, index) => {
        inputs.set(wanted[index]!, object)
      })
    }
    const waitedFor = (holder: string): void =>
      emit({ type: 'waiting', target: node.target, stage: node.name, message: `waiting for ${holder}` })
    const lock = await store.lock(key, waitedFor, signal, node.name)
    try {
      // After a failure nothing new begins, unless the user asked to go on.
      if (this.failure && !this.options.keepGoing) throw this.failure
      const started = performance.now()
      const found = this.mayLookUp(derivation) ? store.lookup(key) : undefined
      let object = found
      if (found) {
        if (!this.options.check) this.done(node, 'cached', 'another process has just built it', started)
      } else {
        object = await this.substitute(node, derivation, key, manifest, inputs)
      }
      if (!object) {
        const reason = this.buildReason(nodes, node, key, manifest)
        emit({ type: 'start', target: node.target, stage: node.name, because: reason })
        object = await this.pools.use(derivation.stage.pool ?? 'cpu', async () =>
          runStage(this, node, {
            key,
            manifest,
            inputs,
            definitionKey: await this.definitionKey(derivation),
          }),
        )
        this.done(node, 'built', reason, started)
      }
      if (this.options.check && derivation.stage.kind === 'build') {
        const first = object
        await this.pools.use(derivation.stage.pool ?? 'cpu', () =>
          compareRebuild(this, node, { key, manifest, inputs }, first),
        )
        if (found) this.done(node, 'cached', 'built again and found equal', started)
      }
      store.recordRun(node.target, node.name, key, manifest)
      return object
    } catch (error) {
      if (error === this.failure) throw error
      const failure = toFleetsieError(error)
      this.failure = failure
      const log = store.log(key)
      emit({
        type: 'failed',
        target: node.target,
        stage: node.name,
        code: failure.code,
        message: failure.message,
        ...(log === undefined ? {} : { log }),
      })
      throw failure
    } finally {
      lock.release()
    }
  }

  private async substitute(
    node: Node,
    derivation: Derivation,
    key: Key,
    manifest: Manifest,
    inputs: Map<Derivation, StoredObject>,
  ): Promise<StoredObject | undefined> {
    if (!this.mayLookUp(derivation)) return undefined
    const { store, emit, signal } = this.options
    const definitionKey = await this.definitionKey(derivation)
    for (const substituter of this.options.substituters ?? []) {
      const started = performance.now()
      const hit = (await substituter.lookup(definitionKey, signal)) ?? (await substituter.lookup(key, signal))
      if (!hit) continue
      const workspace = await store.workspace()
      try {
        await hit.apply(workspace, signal, (done) =>
          emit({ type: 'progress', target: node.target, stage: node.name, done, unit: 'bytes' }),
        )
        const object = await store.publish({
          workspace,
          key,
          definitionKey,
          name: derivation.stage.name,
          manifest,
          declared: new Map(),
          inputs: [...inputs.values()].map((input) => input.digest),
          ms: Math.round(performance.now() - started),
        })
        if (object.digest !== hit.digest) continue
        this.done(node, 'substituted', `it was found in ${hit.origin}`, started)
        return object
      } finally {
        await store.discard(workspace)
      }
    }
    return undefined
  }

  factsOf(nodes: Map<Derivation, Node>, derivation: Derivation): Promise<Facts> {
    const known = this.facts.get(derivation)
    if (known) return known
    const promise = collectFacts(derivation, this.factsHost(nodes.get(derivation)!))
    this.facts.set(derivation, promise)
    return promise
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

  private mayLookUp(derivation: Derivation): boolean {
    const { noCache } = this.options
    return noCache === undefined || (noCache !== true && !noCache.has(derivation.stage.name))
  }

  private cachedReason(nodes: Map<Derivation, Node>, node: Node, key: Key, manifest: Manifest): string {
    const previous = this.options.store.previousRun(node.target, node.name)
    if (previous === undefined || previous.key === key) return 'nothing changed'
    return `built before with the same inputs; since the last run ${because(previous.manifest, manifest, inputNames(nodes, node.derivation))}`
  }

  private buildReason(nodes: Map<Derivation, Node>, node: Node, key: Key, manifest: Manifest): string {
    const { store } = this.options
    if (!this.mayLookUp(node.derivation)) return '--no-cache'
    const tombstone = store.tombstone(key)
    if (tombstone) {
      const day = new Date(tombstone.at).toISOString().slice(0, 10)
      return `its result was evicted on ${day} (${tombstone.reason})`
    }
    return because(
      store.previousRun(node.target, node.name)?.manifest,
      manifest,
      inputNames(nodes, node.derivation),
    )
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

  /** The files of a target that ends in a build stage: they stay in the store. */
  private async listArtifacts(folder: string): Promise<Artifact[]> {
    const names = (await readdir(folder, { withFileTypes: true })).filter((entry) => entry.isFile())
    const paths = names.map((entry) => join(folder, entry.name)).sort()
    const { store } = this.options
    return Promise.all(paths.map(async (path) => ({ path, sha256: await store.sha256(path), kind: 'file' })))
  }

  /** With --keep-going, the rest of a target's graph is built although `root` has failed. */
  async rest(nodes: Map<Derivation, Node>, root: Derivation): Promise<void> {
    await Promise.allSettled(
      topological(root)
        .filter((derivation) => derivation.stage.kind === 'build')
        .map((derivation) => this.resolve(nodes, derivation)),
    )
  }
}

/** Which stage stands at each place among a derivation's options. */
export function inputNames(nodes: Map<Derivation, Node>, derivation: Derivation): InputNames {
  return new Map(inputsOf(derivation).map((input) => [input.label, nodes.get(input.derivation)!.name]))
}

/** Like Promise.all, but waits for all before it fails, so that nothing runs on unseen. */
async function settle<T>(promises: Promise<T>[]): Promise<T[]> {
  const results = await Promise.allSettled(promises)
  return results.map((result) => {
    if (result.status === 'rejected') throw result.reason
    return result.value
  })
}
