/** Deploy stages: look at what is there, apply only what differs, remember what was applied. */
import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { FleetsieError } from '../errors.ts'
import type { Build } from './build.ts'
import type { Artifact } from './events.ts'
import { because } from './explain.ts'
import { inputsOf } from './graph.ts'
import type { Manifest } from './manifest.ts'
import { inputNames, type Node, type Nodes } from './nodes.ts'
import type { DeployContext, Deployed, Derivation, Key } from './stage.ts'
import type { StoredObject } from './store/types.ts'

/** Makes what lies outside the store equal to the inputs of `root`, a deploy stage. */
export async function deploy(build: Build, nodes: Nodes, root: Derivation): Promise<Artifact[]> {
  const { store, cwd, emit } = build.options
  const node = nodes.get(root)!
  const { manifest, key, facts } = await build.contentKey(nodes, root)
  const looked = performance.now()
  const reason = await deployReason(build, nodes, node, key, manifest)
  if (reason === undefined) {
    build.done(node, 'unchanged', 'nothing changed', looked)
    return artifacts(cwd, store.deployment(deploymentId(build, node))?.files ?? [])
  }

  const inputs = new Map<Derivation, StoredObject>()
  for (const { derivation } of inputsOf(root)) inputs.set(derivation, await build.realise(nodes, derivation))
  const files = await build.inPool(node, async () => {
    const started = performance.now()
    emit({ type: 'start', target: node.target, stage: node.name, because: reason })
    const files = await apply(build, node, inputs, facts.sources)
    build.recordRun(node, key, manifest)
    store.recordDeployment(deploymentId(build, node), key, files)
    const digests = [...inputs.values()].map((input) => input.digest)
    store.setRoot(build.targetId(node.target), digests, cwd)
    build.done(node, 'applied', reason, started)
    return files
  })
  return artifacts(cwd, files)
}

/** Why a deploy stage has to be applied; undefined when all is as it was left. */
export async function deployReason(
  build: Build,
  nodes: Nodes,
  node: Node,
  key: Key,
  manifest: Manifest,
): Promise<string | undefined> {
  const { store, cwd } = build.options
  if (!build.mayLookUp(node.derivation)) return '--no-cache'
  const last = store.deployment(deploymentId(build, node))
  if (last?.key === key) return (await firstChanged(build, last.files)) ?? unseen(node)
  // The store knows it from another folder.
  if (last === undefined && store.manifest(key)) return `it was never applied in ${cwd}`
  return because(build.previousRun(node)?.manifest, manifest, inputNames(nodes, node.derivation))
}

/** What lies nowhere where a file's digest would tell. */
function unseen({ derivation: { stage } }: Node): string | undefined {
  if (stage.kind !== 'deploy' || !stage.always) return undefined
  return 'what it writes can change unseen'
}

function deploymentId(build: Build, node: Node): string {
  return `${build.targetId(node.target)} ${node.name}`
}

async function apply(
  build: Build,
  node: Node,
  inputs: Map<Derivation, StoredObject>,
  sources: DeployContext<unknown>['sources'],
): Promise<Deployed[]> {
  const { store, cwd } = build.options
  const { stage } = node.derivation
  if (stage.kind !== 'deploy') throw new FleetsieError('E_BUG', `${stage.name} is no deploy stage`)
  const { commonContext } = await import('./run-stage.ts')
  const workspace = await store.workspace()
  // A deploy stage may handle secrets, so what it prints is not kept in a log.
  const context: DeployContext<Record<string, unknown>> = {
    ...commonContext(build.options, node, inputs, sources, workspace.tmp, () => {}),
    cwd,
    sha256: (file) => store.sha256(file),
  }
  try {
    const files = await stage.apply(context)
    for (const file of files) store.rememberSha256(resolve(cwd, file.path), file.sha256)
    return files
  } catch (error) {
    throw build.fail(node, error)
  } finally {
    await store.discard(workspace)
  }
}

/** Says which deployed file is no longer as it was left, if any. */
async function firstChanged(build: Build, files: readonly Deployed[]): Promise<string | undefined> {
  const { store, cwd } = build.options
  for (const file of files) {
    const path = resolve(cwd, file.path)
    const present = await stat(path).catch(() => undefined)
    if (!present?.isFile()) return `${file.path} is missing`
    if ((await store.sha256(path)) !== file.sha256) return `${file.path} was changed`
  }
  return undefined
}

function artifacts(cwd: string, files: readonly Deployed[]): Artifact[] {
  return files.map(({ path, sha256, kind }) => ({ path: resolve(cwd, path), sha256, kind }))
}
