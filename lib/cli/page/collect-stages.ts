/** What the store remembers of the stages of a target. */
import { inputsOf } from '../../engine/graph.ts'
import type { Node, Nodes } from '../../engine/nodes.ts'
import type { Store } from '../../engine/store/store.ts'
import type { RecordedBuild, StoredObject } from '../../engine/store/types.ts'
import type { PageEdge, PageStage } from './data.ts'

/** A target in the store: its graph, and the name under which its runs are kept. */
export interface Known {
  store: Store
  targetId: string
  nodes: Nodes
}

/** What a stage's last run made; undefined where that is not in the store (any more). */
export function outputOf({ store, targetId }: Known, node: Node): StoredObject | undefined {
  const run = store.previousRun(targetId, node.name)
  const digest = run && store.trace(run.key)
  return digest === undefined ? undefined : store.object(digest)
}

export function edgesOf(nodes: Nodes): PageEdge[] {
  return [...nodes.values()].flatMap(({ name, derivation }) =>
    inputsOf(derivation).map((input) => ({
      from: nodes.get(input.derivation)!.name,
      to: name,
      label: input.label,
    })),
  )
}

export function stagesOf(known: Known, builds: readonly RecordedBuild[]): PageStage[] {
  return [...known.nodes.values()].map((node) => stageOf(known, node, builds))
}

function stageOf(known: Known, node: Node, builds: readonly RecordedBuild[]): PageStage {
  const { store, targetId } = known
  const { stage } = node.derivation
  const results = builds.flatMap((build) =>
    build.stages
      .filter((result) => result.stage === node.name)
      .map((result) => ({ ...result, at: build.at })),
  )
  const ran = results.find(({ action }) => action !== 'cached' && action !== 'unchanged')
  const run = store.previousRun(targetId, node.name)
  const parts = (kind: string): [string, string][] =>
    Object.entries(run?.manifest ?? {}).flatMap(([name, value]) =>
      name.startsWith(`${kind}.`) ? [[name.slice(kind.length + 1), value] as [string, string]] : [],
    )
  const page: PageStage = {
    name: node.name,
    stage: stage.name,
    summary: stage.summary,
    kind: stage.kind,
    options: parts('option'),
    sources: parts('source').map(([path]) => path),
    tools: parts('tool').map(([name, value]) => [name, value.split(' ')[0]!]),
  }
  if (results[0]) page.last = { ...results[0], current: results[0].at === builds[0]!.at }
  if (ran) page.ran = ran
  if (stage.kind === 'deploy') {
    const deployment = store.deployment(`${targetId} ${node.name}`)
    if (deployment) page.files = deployment.files.map(({ path, kind }) => ({ path, kind }))
    return page
  }
  const digest = run && store.trace(run.key)
  if (digest === undefined) return page
  const object = store.object(digest)
  const tombstone = object ? undefined : store.tombstone(run!.key)
  page.output = { digest }
  if (object) page.output.bytes = object.bytes
  else if (tombstone) {
    page.output.bytes = tombstone.bytes
    page.output.gone = `evicted on ${new Date(tombstone.at).toISOString().slice(0, 10)} (${tombstone.reason})`
  } else page.output.gone = 'not in the store'
  return page
}
