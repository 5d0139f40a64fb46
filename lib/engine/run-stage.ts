/** One run of a stage: a work folder, a pinned environment, a log that is kept, and the output published. */

import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { FleetsieError, toFleetsieError } from '../errors.ts'
import type { Build, Node } from './build.ts'
import { firstDifference } from './difference.ts'
import { replaceInputs } from './graph.ts'
import type { Manifest } from './manifest.ts'
import { runner } from './process.ts'
import type { BuildContext, Derivation, FileDigest, Key, Source } from './stage.ts'
import type { StoredObject, Workspace } from './store/types.ts'

interface Work {
  key: Key
  manifest: Manifest
  inputs: Map<Derivation, StoredObject>
}

/** Runs a build stage and publishes what it made. A stage that fails leaves its log and nothing else. */
export async function runStage(
  build: Build,
  node: Node,
  work: Work & { definitionKey: Key },
): Promise<StoredObject> {
  const { store } = build.options
  const started = performance.now()
  return inWorkspace(build, work.key, async (workspace) => {
    const declared = await execute(build, node, work, workspace)
    return store.publish({
      workspace,
      key: work.key,
      definitionKey: work.definitionKey,
      name: node.derivation.stage.name,
      manifest: work.manifest,
      declared,
      inputs: [...work.inputs.values()].map((input) => input.digest),
      ms: Math.round(performance.now() - started),
    })
  })
}

/** Runs a stage once more and fails with E_NOT_REPRODUCIBLE when the result is not the same bytes. */
export async function compareRebuild(
  build: Build,
  node: Node,
  work: Work,
  first: StoredObject,
): Promise<void> {
  await inWorkspace(build, work.key, async (workspace) => {
    await execute(build, node, work, workspace)
    const difference = await firstDifference(first.path, workspace.out)
    if (difference === undefined) return
    throw new FleetsieError('E_NOT_REPRODUCIBLE', `${node.name} is not reproducible: ${difference}`, {
      hint: 'look for a clock, a random number or an order that the stage takes over from outside',
    })
  })
}

async function inWorkspace<T>(
  build: Build,
  key: Key,
  work: (workspace: Workspace) => Promise<T>,
): Promise<T> {
  const { store, debugShell } = build.options
  const workspace = await store.workspace()
  try {
    return await work(workspace)
  } catch (error) {
    await store.keepFailedLog(workspace, key)
    if (debugShell && toFleetsieError(error).code !== 'E_INTERRUPTED') await debugShell(workspace.folder)
    throw error
  } finally {
    await store.discard(workspace)
  }
}

async function execute(
  build: Build,
  node: Node,
  work: Work,
  workspace: Workspace,
): Promise<Map<string, FileDigest>> {
  const { stage } = node.derivation
  if (stage.kind !== 'build') throw new FleetsieError('E_BUG', `${stage.name} is no build stage`)
  const declared = new Map<string, FileDigest>()
  const log = createWriteStream(workspace.log, { flags: 'a' })
  try {
    const facts = await build.factsOf(new Map([[node.derivation, node]]), node.derivation)
    const context: BuildContext<Record<string, unknown>> = {
      ...commonContext(build, node, work.inputs, facts.sources, workspace.tmp, (text) => log.write(text)),
      out: workspace.out,
      declare: (name, digest) => declared.set(name, digest),
    }
    await stage.run(context)
    return declared
  } finally {
    log.end()
    await once(log, 'close')
  }
}

/** What build and deploy stages see alike. */
export function commonContext(
  build: Build,
  node: Node,
  inputs: Map<Derivation, StoredObject>,
  sources: readonly Source[],
  tmp: string,
  log: (text: string) => void,
) {
  const { emit, epoch, signal } = build.options
  const { target, name: stage, derivation } = node
  const options = replaceInputs(derivation.options, (input) => {
    const { path, digest } = inputs.get(input)!
    return { path, digest }
  }) as Record<string, never>
  return {
    options,
    sources,
    tmp,
    signal,
    epoch,
    run: runner({
      home: tmp,
      signal,
      log,
      ...(epoch === undefined ? {} : { env: { SOURCE_DATE_EPOCH: String(epoch) } }),
    }),
    log: (line: string) => log(`${line}\n`),
    note: (message: string) => emit({ type: 'note', target, stage, message }),
    warn: (message: string) => emit({ type: 'warning', target, stage, message }),
    progress: (done: number, total: number | undefined, unit: 'bytes' | 'files') =>
      emit({ type: 'progress', target, stage, done, ...(total === undefined ? {} : { total }), unit }),
  }
}
