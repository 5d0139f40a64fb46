/** One run of a stage: a work folder, a pinned environment, a log that is kept, and the output published. */

import { AssertionError } from 'node:assert'
import { createWriteStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { FleetsieError, toFleetsieError } from '../errors.ts'
import type { BuildOptions } from './build-options.ts'
import { editedSince } from './code-digest.ts'
import { firstDifference } from './difference.ts'
import { replaceInputs } from './graph.ts'
import { type Kept, keptInStore, nothingKept } from './kept.ts'
import type { Manifest } from './manifest.ts'
import type { Node } from './nodes.ts'
import { runner } from './process.ts'
import {
  type BuildContext,
  type Derivation,
  type FileDigest,
  type Key,
  modulesOf,
  type Source,
} from './stage.ts'
import { hashLike } from './store/hash.ts'
import type { StoredObject, Workspace } from './store/types.ts'

export interface Work {
  key: Key
  definitionKey: Key
  manifest: Manifest
  sources: readonly Source[]
  inputs: Map<Derivation, StoredObject>
}

/** Runs a build stage and publishes what it made. A stage that fails leaves its log and nothing else. */
export async function runStage(options: BuildOptions, node: Node, work: Work): Promise<StoredObject> {
  const started = performance.now()
  return inWorkspace(options, work.key, async (workspace) => {
    const kept = mayKeep(options, node, work)
      ? await keptInStore(options, node, work.manifest)
      : nothingKept(workspace.folder)
    const declared = await execute(options, node, work, workspace, kept)
    const edited = modulesOf(node.derivation.stage)
      .map((module) => editedSince(work.manifest, module, options.cwd))
      .find((file) => file !== undefined)
    // It may have been loaded before or after: nobody knows whose result this is.
    if (edited !== undefined) {
      throw new FleetsieError('E_INPUT', `the code of ${node.name} was edited while it ran`, {
        file: edited,
        hint: 'build again',
      })
    }
    return options.store.publish({
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

// A fixed output has no code in its key, so nothing would keep one version of a stage from what another left.
function mayKeep({ noCache }: BuildOptions, { derivation }: Node, { manifest }: Work): boolean {
  return noCache !== true && !noCache?.has(derivation.stage.name) && manifest['output'] === undefined
}

/** Runs a stage once more, from nothing, and fails with E_NOT_REPRODUCIBLE when the result is not the same bytes. */
export async function compareRebuild(
  options: BuildOptions,
  node: Node,
  work: Work,
  first: StoredObject,
): Promise<void> {
  await inWorkspace(options, work.key, async (workspace) => {
    const declared = await execute(options, node, work, workspace, nothingKept(workspace.folder))
    const difference = await firstDifference(first.path, workspace.out)
    if (difference === undefined) return checkDeclared(node, declared, workspace.out)
    throw new FleetsieError('E_NOT_REPRODUCIBLE', `${node.name} is not reproducible: ${difference}`, {
      hint: 'look for a clock, a random number or an order that the stage takes over from outside',
    })
  })
}

/** The store takes a stage's word for the digests of large files; here is the time to look. */
async function checkDeclared(
  node: Node,
  declared: ReadonlyMap<string, FileDigest>,
  folder: string,
): Promise<void> {
  for (const [name, digest] of declared) {
    const file = await open(join(folder, name))
    try {
      const found = await hashLike(file, digest)
      if (found === ('chunks' in digest ? digest.chunks : digest.sha256)) continue
      throw new FleetsieError('E_STAGE', `${node.name} declares a digest that its file does not have`, {
        file: name,
        hint: 'mend the stage, then `fleetsie store verify --repair`',
      })
    } finally {
      await file.close()
    }
  }
}

async function inWorkspace<T>(
  { store, debugShell }: BuildOptions,
  key: Key,
  work: (workspace: Workspace) => Promise<T>,
): Promise<T> {
  const workspace = await store.workspace()
  try {
    return await work(workspace)
  } catch (error) {
    // The reason why a stage failed matters more than its log: a full disk may be behind both.
    await store.keepFailedLog(workspace, key).catch(() => {})
    if (debugShell && toFleetsieError(error).code !== 'E_INTERRUPTED') await debugShell(workspace.folder)
    throw error
  } finally {
    await store.discard(workspace)
  }
}

async function execute(
  options: BuildOptions,
  node: Node,
  work: Work,
  workspace: Workspace,
  kept: Kept,
): Promise<Map<string, FileDigest>> {
  const { stage } = node.derivation
  if (stage.kind !== 'build') throw new FleetsieError('E_BUG', `${stage.name} is no build stage`)
  const declared = new Map<string, FileDigest>()
  const log = createWriteStream(workspace.log, { flags: 'a' })
  // Where a full disk takes no log, it takes no output either: that is what the stage will fail for.
  log.on('error', () => {})
  const closed = new Promise<void>((resolve) => log.once('close', () => resolve()))
  try {
    const context: BuildContext<Record<string, unknown>> = {
      ...commonContext(options, node, work.inputs, work.sources, workspace.tmp, (text) => log.write(text)),
      out: workspace.out,
      declare: (name, digest) => declared.set(name, digest),
      ...kept,
    }
    await stage.run(context).catch((error: unknown) => {
      throw context.signal.aborted ? error : nameInput(thrownBy(node, error, context.log), work.inputs)
    })
    return declared
  } finally {
    log.end()
    await closed
  }
}

/** A stage of the user's own need not know our errors: what it throws on purpose is its failure, no fault of ours. */
function thrownBy(node: Node, error: unknown, log: (line: string) => void): FleetsieError {
  const failure = toFleetsieError(error)
  if (failure.code !== 'E_BUG') return failure
  log(error instanceof Error ? (error.stack ?? error.message) : String(error))
  const mistakes = [TypeError, RangeError, ReferenceError, SyntaxError, AssertionError]
  if (mistakes.some((mistake) => error instanceof mistake)) return failure
  return new FleetsieError('E_STAGE', `${node.name}: ${failure.message}`, { cause: error })
}

/** A path in the store tells nobody anything: the stage that made the file does. */
function nameInput(failure: FleetsieError, inputs: Work['inputs']): FleetsieError {
  const { file } = failure
  for (const { path, name } of inputs.values()) {
    if (file?.startsWith(`${path}/`)) failure.file = `${file.slice(path.length + 1)} (made by ${name})`
    else if (file === path) failure.file = `the result of ${name}`
  }
  return failure
}

/** What build and deploy stages see alike. */
export function commonContext(
  build: BuildOptions,
  node: Node,
  inputs: Map<Derivation, StoredObject>,
  sources: readonly Source[],
  tmp: string,
  log: (text: string) => void,
) {
  const { emit, epoch, signal } = build
  const jobs = build.jobs ?? availableParallelism()
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
    jobs,
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
