/** Asks substituters for a result. Whatever is wrong with one of them, the stage can still be built here. */
import { FleetsieError } from '../errors.ts'
import type { BuildOptions } from './build-options.ts'
import { sha256Hex } from './canonical.ts'
import type { Manifest } from './manifest.ts'
import type { Node } from './nodes.ts'
import type { Digest, Key } from './stage.ts'
import type { StoredObject } from './store/types.ts'
import type { Hit, Substituter } from './substituter.ts'

interface Wanted {
  key: Key
  definitionKey: Key
  manifest: Manifest
  inputs: readonly Digest[]
}

/** The result of a stage from the first substituter that has it, published as the result of its key. */
export async function substitute(
  options: BuildOptions,
  node: Node,
  wanted: Wanted,
): Promise<{ object: StoredObject; origin: string } | undefined> {
  const { substituters = [], emit, signal } = options
  for (const substituter of substituters) {
    try {
      const hit = await ask(substituter, wanted, signal)
      if (hit) return { object: await take(options, node, wanted, hit), origin: hit.origin }
    } catch (error) {
      if (signal.aborted) throw error
      const why = error instanceof Error ? error.message : String(error)
      const message = `${substituter.name} is of no help: ${why}`
      emit({ type: 'warning', target: node.target, stage: node.name, message })
    }
  }
  return undefined
}

async function ask(substituter: Substituter, wanted: Wanted, signal: AbortSignal): Promise<Hit | undefined> {
  return (
    (await substituter.lookup(wanted.definitionKey, signal)) ?? (await substituter.lookup(wanted.key, signal))
  )
}

async function take(
  { store, emit, signal }: BuildOptions,
  { target, name: stage, derivation }: Node,
  { key, definitionKey, manifest, inputs }: Wanted,
  hit: Hit,
): Promise<StoredObject> {
  const started = performance.now()
  const workspace = await store.workspace()
  try {
    await hit.apply(workspace, signal, (done) =>
      emit({ type: 'progress', target, stage, done, unit: 'bytes' }),
    )
    const ms = Math.round(performance.now() - started)
    // Under a key that nobody asks for: the real one learns of these bytes only when they are the promised ones.
    const unproven = sha256Hex(`substituted ${hit.digest}`) as Key
    const object = await store.publish({
      workspace,
      key: unproven,
      definitionKey: unproven,
      name: derivation.stage.name,
      manifest,
      declared: new Map(),
      inputs,
      ms,
    })
    if (object.digest !== hit.digest) {
      throw new FleetsieError('E_VERIFY', `${hit.origin} gave other bytes than it had promised`)
    }
    store.recordTrace({ key, definitionKey, digest: object.digest, manifest, ms })
    return object
  } finally {
    await store.discard(workspace)
  }
}
