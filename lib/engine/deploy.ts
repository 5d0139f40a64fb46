/** Deploy stages: look at what is there, apply only what differs, remember what was applied. */
import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { FleetsieError, toFleetsieError } from '../errors.ts'
import { type Build, inputNames, type Node } from './build.ts'
import type { Artifact } from './events.ts'
import { because } from './explain.ts'
import { inputsOf } from './graph.ts'
import { commonContext } from './run-stage.ts'
import type { DeployContext, Deployed, Derivation } from './stage.ts'
import type { StoredObject } from './store/types.ts'

/** Makes what lies outside the store equal to the inputs of `root`, a deploy stage. */
export async function deploy(
  build: Build,
  nodes: Map<Derivation, Node>,
  root: Derivation,
): Promise<Artifact[]> {
  const { store, cwd } = build.options
  const node = nodes.get(root)!
  const { manifest, key, facts } = await build.contentKey(nodes, root)
  const looked = performance.now()
  const id = `${cwd} ${node.target} ${node.name}`
  const last = store.deployment(id)
  const missing = last?.key === key ? await firstChanged(build, last.files) : undefined
  if (last?.key === key && missing === undefined) {
    build.done(node, 'unchanged', 'nothing changed', looked)
    return artifacts(cwd, last.files)
  }

  const inputs = new Map<Derivation, StoredObject>()
  for (const { derivation } of inputsOf(root)) inputs.set(derivation, await build.realise(nodes, derivation))
  const reason =
    missing ?? because(store.previousRun(node.target, node.name)?.manifest, manifest, inputNames(nodes, root))
  const started = performance.now()
  build.options.emit({ type: 'start', target: node.target, stage: node.name, because: reason })
  const files = await apply(build, node, inputs, facts.sources)
  store.recordRun(node.target, node.name, key, manifest)
  store.recordDeployment(id, key, files)
  store.setRoot(
    `${cwd} ${node.target}`,
    [...inputs.values()].map((input) => input.digest),
    cwd,
  )
  build.done(node, 'applied', reason, started)
  return artifacts(cwd, files)
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
  const workspace = await store.workspace()
  // A deploy stage may handle secrets, so what it prints is not kept in a log.
  const context: DeployContext<Record<string, unknown>> = {
    ...commonContext(build, node, inputs, sources, workspace.tmp, () => {}),
    cwd,
  }
  try {
    return await stage.apply(context)
  } catch (error) {
    const failure = toFleetsieError(error)
    build.options.emit({
      type: 'failed',
      target: node.target,
      stage: node.name,
      code: failure.code,
      message: failure.message,
    })
    throw failure
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
