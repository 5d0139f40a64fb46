/** What a build would do, by the code that it would do it with, but without running a stage. */
import { type Build, inputNames, type Node } from './build.ts'
import { because } from './explain.ts'
import { inputsOf, nodeNames, topological } from './graph.ts'
import { keyOf, withInputs } from './key.ts'
import type { Manifest } from './manifest.ts'
import type { Derivation, Digest, Key } from './stage.ts'

export interface Prediction {
  node: Node
  /** Absent inputs are those whose digest is not known before they have run. */
  manifest: Manifest
  /** Unknown while an input's digest is. */
  key: Key | undefined
  runs: boolean
  because: string
}

/** Predicts each stage of a target, inputs first. */
export async function predictions(build: Build, target: string, root: Derivation): Promise<Prediction[]> {
  const { store } = build.options
  const names = nodeNames(root)
  const nodes = new Map([...names].map(([derivation, name]) => [derivation, { target, name, derivation }]))
  const digests = new Map<Derivation, Digest>()
  const found: Prediction[] = []
  for (const derivation of topological(root)) {
    const node = nodes.get(derivation)!
    const facts = await build.factsOf(nodes, derivation)
    const unknown = inputsOf(derivation).filter((input) => !digests.has(input.derivation))
    const before = store.previousRun(target, node.name)
    if (unknown.length > 0 && facts.manifest['output'] === undefined) {
      const first = unknown[0]!
      const reason = `its input ${first.label} (${names.get(first.derivation)}) runs, and may come out different`
      found.push({ node, manifest: facts.manifest, key: undefined, runs: true, because: reason })
      continue
    }
    const manifest = withInputs(derivation, facts, (input) => digests.get(input)!)
    const key = keyOf(manifest)
    const digest = derivation.stage.kind === 'build' ? store.trace(key) : undefined
    if (digest !== undefined) digests.set(derivation, digest)
    const same = before?.key === key
    const runs = digest === undefined && !(derivation.stage.kind === 'deploy' && same)
    found.push({
      node,
      manifest,
      key,
      runs,
      because: because(before?.manifest, manifest, inputNames(nodes, derivation)),
    })
  }
  return found
}

/** Tells the predictions as answers, one a stage. */
export async function predict(build: Build, target: string, root: Derivation): Promise<void> {
  for (const { node, runs, because: reason, key } of await predictions(build, target, root)) {
    const action = runs ? 'would run' : 'cached'
    build.options.emit({
      type: 'answer',
      text: `${node.name.padEnd(12)} ${action.padEnd(11)}  because ${reason}`,
      data: { target, stage: node.name, runs, because: reason, key },
    })
  }
}
