/**
 * What an output depends on. One walk writes a flat manifest, `what` → `value`; the key is the sha256 of
 * that manifest and `explain` is the difference of two of them, so that neither can leave anything out
 * that the other has. docs/architecture.md lists the fields.
 */

import { FleetsieError } from '../errors.ts'
import { canonicalJson, sha256Hex } from './canonical.ts'
import { codeDigests } from './code-digest.ts'
import { inputsOf, visit } from './graph.ts'
import type { Manifest } from './manifest.ts'
import { Derivation, type Digest, type Key, modulesOf, type Source, type SourceHost } from './stage.ts'
import { toolIdentity } from './tools.ts'

/** Raised when the meaning of a field changes: every key made before is then unknown. */
const keyFormat = '1'

/** Everything in a key but the inputs: the same for the definition key and the content key. */
export interface Facts {
  manifest: Manifest
  sources: Source[]
}

export interface FactsHost extends SourceHost {
  toolVersion(sha256: string, ask: () => Promise<string>): Promise<string>
  epoch: number | undefined
  /** Disowns everything cached so far when it is changed. From FLEETSIE_CACHE_EPOCH. */
  cacheEpoch: string | undefined
}

/** Looks at options, code, tools, sources and platform of a derivation. */
export async function collectFacts(derivation: Derivation, host: FactsHost): Promise<Facts> {
  const { stage, options } = derivation
  const manifest: Manifest = { format: keyFormat, stage: stage.name }
  if (host.cacheEpoch !== undefined) manifest['cacheEpoch'] = host.cacheEpoch
  const fixed = fixedOutput(derivation)
  if (fixed !== undefined) return { manifest: { ...manifest, output: fixed }, sources: [] }

  if (host.epoch !== undefined) manifest['SOURCE_DATE_EPOCH'] = String(host.epoch)
  manifest['platform'] = `${process.platform}-${process.arch}`
  for (const module of modulesOf(stage)) Object.assign(manifest, codeDigests(module, host.cwd))
  visit(options, '', (path, value) => {
    if (value instanceof Derivation || value === undefined) return
    manifest[`option.${path}`] = optionText(stage.name, path, value)
  })
  for (const tool of stage.tools?.(options) ?? []) manifest[`tool.${tool}`] = await toolIdentity(tool, host)
  const sources = (await stage.sources?.(options, host)) ?? []
  for (const source of sources) manifest[`source.${source.path}`] = describeSource(source)
  if (stage.kind === 'deploy' && stage.identity) manifest['identity'] = await stage.identity(options, host)
  return { manifest, sources }
}

/** What an output is told by alone, whoever produced it. */
export function fixedOutput({ stage, options }: Derivation): string | undefined {
  return stage.kind === 'build' ? stage.fixedOutput?.(options) : undefined
}

/** The manifest with its inputs: by their outputs' digests for the content key, by their definition keys for the other. */
export function withInputs(
  derivation: Derivation,
  facts: Facts,
  value: (input: Derivation) => Digest | Key,
): Manifest {
  // A fixed output is told by its options alone: who produced it does not matter.
  if (facts.manifest['output'] !== undefined) return facts.manifest
  const inputs = inputsOf(derivation).map(({ label, derivation: input }) => [`input.${label}`, value(input)])
  return { ...facts.manifest, ...Object.fromEntries(inputs) }
}

export function keyOf(manifest: Manifest): Key {
  return sha256Hex(canonicalJson(manifest)) as Key
}

// A Date or a Map has no members of its own: two that differ would have one key.
function optionText(stage: string, path: string, value: unknown): string {
  if (isJson(value)) return canonicalJson(value)
  const got = value instanceof Object ? value.constructor.name : String(value)
  throw new FleetsieError('E_OPTION', `${stage}: option \`${path}\` got ${got}, which no key can hold`, {
    hint: 'an option is text, a finite number, true, false, null, or a list or plain object of such',
  })
}

function isJson(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) {
    return [null, Object.prototype, Array.prototype].includes(Object.getPrototypeOf(value))
  }
  return value === null || ['string', 'boolean'].includes(typeof value) || Number.isFinite(value)
}

function describeSource(source: Source): string {
  switch (source.type) {
    case 'file':
      return `file ${source.mode.toString(8)} ${source.sha256}`
    case 'symlink':
      return `symlink ${source.target}`
    case 'directory':
      return `directory ${source.mode.toString(8)}`
  }
}
