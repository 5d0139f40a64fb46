/**
 * What a stage is, and how a call of one in pipeline.ts becomes a derivation.
 * Every stage imports this file, so its code is part of every key: keep it small.
 */
import * as v from 'valibot'
import { FleetsieError } from '../errors.ts'
import type { Run } from './process.ts'

/** sha256 in lower-case hex of an object's listing: the address of an output. */
export type Digest = string & { readonly brand: 'Digest' }
/** sha256 in lower-case hex over everything that a stage's output depends on. */
export type Key = string & { readonly brand: 'Key' }

/** A file outside the store that a stage reads. `path` is a name without the host's folders, '/'-separated. */
export type Source =
  | { path: string; type: 'file'; mode: number; sha256: string; from: string }
  | { path: string; type: 'symlink'; target: string }
  | { path: string; type: 'directory'; mode: number }

/** A realised input as a stage sees it: a read-only folder in the store. */
export interface Input {
  readonly path: string
  readonly digest: Digest
}

/** The options of a stage as its `run` sees them: each derivation has become an input. */
export type Realised<T> = T extends Derivation
  ? Input
  : T extends readonly (infer E)[]
    ? Realised<E>[]
    : T extends object
      ? { [K in keyof T]: Realised<T[K]> }
      : T

/** The digest of a file, told by the stage that computed it while writing. */
export type FileDigest = { sha256: string } | { chunks: string }

/**
 * Small results that a stage may spare itself next time; never part of its output. A `key` is any string that tells
 * all that a result depends on, the version of its form too: it is shared by all stages and processes.
 */
export interface Memo {
  /** Undefined when there is none, or when it was damaged: then it is dropped and said. */
  get(key: string): Promise<Buffer | undefined>
  /** A full disk is no failure: it is only not kept. */
  put(key: string, bytes: Uint8Array): Promise<void>
}

interface CommonContext<O> {
  readonly options: Realised<O>
  /** What `sources` of this stage answered when the key was computed. */
  readonly sources: readonly Source[]
  /** An empty folder that is thrown away afterwards. */
  readonly tmp: string
  readonly signal: AbortSignal
  /** How many programs a stage may run at once. It must not change the result. */
  readonly jobs: number
  /** SOURCE_DATE_EPOCH in seconds, when the user set it. It is part of the key. */
  readonly epoch: number | undefined
  /** Runs a program with a pinned environment; its stderr goes to the stage's log. */
  readonly run: Run
  /** A line for the stage's log. */
  log(line: string): void
  /** A line that the user sees. */
  note(line: string): void
  warn(line: string): void
  progress(done: number, total: number | undefined, unit: 'bytes' | 'files'): void
}

export interface BuildContext<O> extends CommonContext<O> {
  /** The folder to fill. It becomes an object of the store, read-only, times and modes made uniform. */
  readonly out: string
  /**
   * Spares the store a second pass over a large file of `out`. `chunks` is the sha256 over the sha256
   * (32 raw bytes each; 32 zero bytes for a piece of zeros) of each 1 MiB piece; the last may be shorter.
   */
  declare(name: string, digest: FileDigest): void
  /**
   * A folder kept between runs under `name` (a-z, 0-9 and -, a digest for instance), like a cache mount: held by this
   * run alone, empty at first. It must not change the result. When `use` fails, or the process dies in it, the folder
   * is thrown away. Runs of other code or tools of the stage never see it.
   */
  carry<T>(name: string, use: (folder: string) => Promise<T>): Promise<T>
  readonly memo: Memo
}

/** A file that a deploy stage keeps equal to its plan. */
export interface Deployed {
  /** Relative to the folder where the pipeline runs, or absolute. */
  path: string
  sha256: string
  kind: string
}

export interface DeployContext<O> extends CommonContext<O> {
  /** The folder of pipeline.ts, against which relative paths count. */
  readonly cwd: string
  /** The sha256 of a file, inside the store or not, remembered while nothing about the file changes. */
  sha256(file: string): Promise<string>
}

interface CommonStage<S extends OptionsSchema> {
  name: string
  /** import.meta.url of the stage's file: its source and what that imports are part of the key. */
  module: string
  /** URLs of more modules, programs that it packs into its output for instance: they count as `module` does. */
  bundled?: readonly string[]
  /** One line. */
  summary: string
  /** Markdown: what it does, from what to what, its limits. */
  description: string
  /** A call as it would stand in pipeline.ts. */
  example: string
  options: S
  /** Programs it runs, looked up in PATH; name, version and sha256 of each are part of the key. */
  tools?(options: v.InferOutput<S>): readonly string[]
  /** The files outside the store that it reads. `cwd` is the folder of pipeline.ts. */
  sources?(options: v.InferOutput<S>, host: SourceHost): Promise<Source[]>
  /** At most so many of one pool run at once. Default: cpu. */
  pool?: 'cpu' | 'io' | 'net' | 'mount'
}

/** What `sources` may use: the folder to look in, a hash that remembers, and a place for remarks. */
export interface SourceHost {
  readonly cwd: string
  sha256(file: string): Promise<string>
  note(line: string): void
}

export interface BuildStage<S extends OptionsSchema = OptionsSchema> extends CommonStage<S> {
  kind: 'build'
  /** The output is fixed by the options alone (a sha256 among them): inputs and code are left out of the key. */
  fixedOutput?(options: v.InferOutput<S>): string | undefined
  run(context: BuildContext<v.InferOutput<S>>): Promise<void>
}

export interface DeployStage<S extends OptionsSchema = OptionsSchema> extends CommonStage<S> {
  kind: 'deploy'
  /** Public facts about secrets that decide the result, a certificate's fingerprint for one. Part of the key. */
  identity?(options: v.InferOutput<S>, host: SourceHost): Promise<string>
  /** What it makes can change unseen, a card for one: it is applied each time, and finds out itself what differs. */
  always?: boolean
  /** Makes what lies outside the store equal to the inputs, and says which files it answers for. Applied twice, it changes nothing. */
  apply(context: DeployContext<v.InferOutput<S>>): Promise<Deployed[]>
}

export type OptionsSchema = v.GenericSchema<Record<string, unknown>, Record<string, unknown>>
// biome-ignore lint/suspicious/noExplicitAny: a stage of any options; its own functions take just their own.
export type Stage = BuildStage<any> | DeployStage<any>

/** Every module whose code, with what that imports, makes a stage's output. */
export function modulesOf({ module, bundled = [] }: Stage): readonly string[] {
  return [module, ...bundled]
}

/** A stage with its options and inputs. Nothing has run yet. */
export class Derivation {
  readonly stage: Stage
  readonly options: Record<string, unknown>

  constructor(stage: Stage, options: Record<string, unknown>) {
    this.stage = stage
    this.options = options
  }
}

/** Schema of an option that takes what another stage makes. */
export const input = () =>
  v.custom<Derivation>(
    (value) => value instanceof Derivation && value.stage.kind === 'build',
    'takes the result of a build stage',
  )

export type StageFunction<S extends OptionsSchema> = ((options: v.InferInput<S>) => Derivation) & {
  stage: Stage
}

/** Declares a stage: a function that makes derivations of it, checked against its options' schema. */
export function stage<S extends OptionsSchema>(definition: BuildStage<S> | DeployStage<S>): StageFunction<S> {
  const call = (options: v.InferInput<S>): Derivation => {
    const result = v.safeParse(definition.options, options)
    if (!result.success) throw optionError(definition, result.issues)
    return new Derivation(definition, result.output)
  }
  return Object.assign(call, { stage: definition as Stage })
}

const documented = new URL('../../stages/', import.meta.url).href

function optionError({ name, module }: Stage, issues: readonly v.BaseIssue<unknown>[]): FleetsieError {
  const lines = issues.map((issue) => {
    const path = v.getDotPath(issue)
    if (path !== null && issue.received === 'undefined') return `option \`${path}\` is missing`
    const got = typeof issue.input === 'string' ? JSON.stringify(issue.input) : issue.received
    return issue.expected === 'never'
      ? `there is no option \`${path}\``
      : `option \`${path ?? '(all)'}\` got ${got}: ${issue.message}`
  })
  const hint = module.startsWith(documented) ? { hint: `docs/stages/${name}.md lists its options` } : {}
  return new FleetsieError('E_OPTION', `${name}: ${lines.join('; ')}`, hint)
}
