/** One build of a watch. It may turn out that there is nothing to do, before anybody has heard of it. */
import { Build } from '../../engine/build.ts'
import type { BuildOptions } from '../../engine/build-options.ts'
import { canonicalJson } from '../../engine/canonical.ts'
import type { Artifact, BuildEvent, Emit } from '../../engine/events.ts'
import { inputsOf } from '../../engine/graph.ts'
import { nodesOf } from '../../engine/nodes.ts'
import type { Derivation, Source } from '../../engine/stage.ts'
import { buildTarget } from '../../engine/target.ts'
import { FleetsieError, toFleetsieError } from '../../errors.ts'
import type { Target } from '../targets.ts'

/** A target, and the derivation at which its build stops. */
export interface Goal extends Target {
  end: Derivation
}

export class Attempt {
  readonly build: Build
  private readonly goals: readonly Goal[]
  private readonly controller = new AbortController()
  /** What it told before it was known to be of use. */
  private held: BuildEvent[] | undefined = []
  private readonly emit: Emit
  private readonly stop: (reason: FleetsieError) => void

  constructor(options: BuildOptions, goals: readonly Goal[]) {
    this.goals = goals
    this.emit = options.emit
    const { signal } = this.controller
    this.build = new Build({ ...options, signal, emit: (event) => this.tell(event) })
    this.stop = (reason) => this.controller.abort(reason)
  }

  /** Everything but the inputs that the stages' keys are made of, as text to compare. A stage that cannot say has its error. */
  async facts(): Promise<string> {
    const all = this.goals.flatMap(({ name, root, end }) => {
      const nodes = nodesOf(name, root)
      return keyed(end).map(async (derivation) => {
        try {
          return (await this.build.factsOf(nodes, derivation)).manifest
        } catch (error) {
          return { error: String(error) }
        }
      })
    })
    return canonicalJson(await Promise.all(all))
  }

  sources(): Promise<Source[]> {
    return this.build.sources()
  }

  /** Builds all goals, over the same pools. Fails with the first failure; nothing of it runs on then. */
  async run(): Promise<Artifact[]> {
    const held = this.held ?? []
    this.held = undefined
    for (const event of held) this.emit(event)
    const built = await Promise.allSettled(
      this.goals.map(({ name, root, end }) => buildTarget(this.build, name, root, end)),
    )
    const artifacts: Artifact[] = []
    let failure: FleetsieError | undefined
    built.forEach((result) => {
      if (result.status === 'fulfilled') artifacts.push(...result.value)
      else failure ??= toFleetsieError(result.reason)
    })
    if (this.controller.signal.aborted) throw this.controller.signal.reason
    if (failure) throw failure
    return artifacts
  }

  get signal(): AbortSignal {
    return this.controller.signal
  }

  /** Ends it: nothing more is told, its programs are ended, and `run` fails once they are. */
  cancel(): void {
    this.stop(new FleetsieError('E_INTERRUPTED', 'a newer edit ended the build'))
  }

  private tell(event: BuildEvent): void {
    if (this.controller.signal.aborted) return
    if (this.held) this.held.push(event)
    else this.emit(event)
  }
}

/** All derivations whose facts are in keys: not those behind a fixed output. */
function keyed(end: Derivation): Derivation[] {
  const found = new Set<Derivation>()
  const walk = (derivation: Derivation): void => {
    if (found.has(derivation)) return
    found.add(derivation)
    const { stage, options } = derivation
    if (stage.kind === 'build' && stage.fixedOutput?.(options) !== undefined) return
    for (const input of inputsOf(derivation)) walk(input.derivation)
  }
  walk(end)
  return [...found]
}
