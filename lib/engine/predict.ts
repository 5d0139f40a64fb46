/** What a build would do, by the code that it would do it with, but without running a stage. */
import type { Build } from './build.ts'
import { deployReason } from './deploy.ts'
import { inputsOf, topological } from './graph.ts'
import { keyOf, withInputs } from './key.ts'
import type { Manifest } from './manifest.ts'
import { type Node, type Nodes, nodesOf } from './nodes.ts'
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
  const nodes = nodesOf(target, root)
  const digests = new Map<Derivation, Digest>()
  const found = new Map<Derivation, Prediction>()
  for (const derivation of topological(root)) {
    const prediction = await predictOne(build, nodes, derivation, digests)
    found.set(derivation, prediction)
  }
  addEvicted(build, nodes, root, found, digests)
  return [...found.values()]
}

async function predictOne(
  build: Build,
  nodes: Nodes,
  derivation: Derivation,
  digests: Map<Derivation, Digest>,
): Promise<Prediction> {
  const node = nodes.get(derivation)!
  const facts = await build.factsOf(nodes, derivation)
  const unknown = inputsOf(derivation).find((input) => !digests.has(input.derivation))
  if (unknown && facts.manifest['output'] === undefined) {
    const because = `its input ${unknown.label} (${nodes.get(unknown.derivation)!.name}) runs, and may come out different`
    return { node, manifest: facts.manifest, key: undefined, runs: true, because }
  }
  const manifest = withInputs(derivation, facts, (input) => digests.get(input)!)
  const key = keyOf(manifest)
  if (derivation.stage.kind === 'deploy') {
    const reason = await deployReason(build, nodes, node, key, manifest)
    return { node, manifest, key, runs: reason !== undefined, because: reason ?? 'nothing changed' }
  }
  const digest = build.mayLookUp(derivation) ? build.options.store.trace(key) : undefined
  if (digest !== undefined) digests.set(derivation, digest)
  const because = (digest === undefined ? build.buildReason : build.cachedReason).call(
    build,
    nodes,
    node,
    key,
    manifest,
  )
  return { node, manifest, key, runs: digest === undefined, because }
}

/** What is known but no longer there runs again where something needs the bytes. */
function addEvicted(
  build: Build,
  nodes: Nodes,
  root: Derivation,
  found: Map<Derivation, Prediction>,
  digests: Map<Derivation, Digest>,
): void {
  const { store } = build.options
  const seen = new Set<Derivation>()
  const need = (derivation: Derivation): void => {
    if (seen.has(derivation)) return
    seen.add(derivation)
    const prediction = found.get(derivation)!
    const { node, key, manifest } = prediction
    const digest = digests.get(derivation)
    if (!prediction.runs && digest !== undefined && key !== undefined && !store.object(digest)) {
      prediction.runs = true
      prediction.because = build.buildReason(nodes, node, key, manifest)
    }
    if (!prediction.runs || manifest['output'] !== undefined) return
    for (const input of inputsOf(derivation)) need(input.derivation)
  }
  if (root.stage.kind === 'build') need(root)
  for (const [derivation, { runs }] of found) if (runs) need(derivation)
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
