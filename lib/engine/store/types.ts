/** The words of the store's interface. */
import type { Emit, StageAction } from '../events.ts'
import type { Manifest } from '../manifest.ts'
import type { Deployed, Digest, FileDigest, Input, Key } from '../stage.ts'

export interface StoreOptions {
  /** Told of evictions, warnings and notes. */
  emit?: Emit
  /** Bytes that stay free on the store's disk. Default: 5 % of the disk, at most 2 GiB. 0 turns that off. */
  minFree?: number
  /** Writes nothing: no leases, no workspaces, no record of use. */
  readOnly?: boolean
}

/** A finished output. `path` is the read-only folder with its files: what a stage sees as its input. */
export interface StoredObject extends Input {
  readonly digest: Digest
  /** Name of the stage that made it. */
  readonly name: string
  readonly path: string
  /** Bytes that its files hold, holes included. */
  readonly bytes: number
}

/** A folder for one run of a stage, on the store's own filesystem. */
export interface Workspace {
  /** Holds all else; gone after `discard`. */
  readonly folder: string
  /** Empty; its content becomes the object. */
  readonly out: string
  /** Empty; thrown away. */
  readonly tmp: string
  /** An empty file for the stage's log. */
  readonly log: string
}

export interface PublishRequest {
  workspace: Workspace
  key: Key
  definitionKey: Key
  /** Name of the stage. */
  name: string
  manifest: Manifest
  /** By path below `out`. A file that is not named here is hashed. */
  declared: ReadonlyMap<string, FileDigest>
  inputs: readonly Digest[]
  /** How long it took to make, milliseconds. */
  ms: number
}

/** A key whose result is known without building: early cutoff, or a substituted definition. */
export interface Trace {
  key: Key
  definitionKey?: Key
  digest: Digest
  manifest: Manifest
  ms: number
}

export interface KeyLock {
  release(): void
}

/** What a stage's key was made of when a target was last built. `at` is in milliseconds since 1970. */
export interface RecordedRun {
  key: Key
  manifest: Manifest
  at: number
}

/** One stage of a recorded build. */
export interface RecordedStage {
  stage: string
  action: StageAction | 'failed'
  /** Why it ran or did not; of one that failed, the error's first line. */
  because: string
  /** Milliseconds from the start of the build. */
  start: number
  ms: number
}

/** One build of a target. A stage that a failure or the user kept from running is not there. */
export interface RecordedBuild {
  /** Milliseconds since 1970. */
  at: number
  ms: number
  /** In the order in which they ended. */
  stages: RecordedStage[]
}

/** Why a result that was here is gone. */
export interface Tombstone {
  reason: EvictionReason
  bytes: number
  /** Milliseconds since 1970. */
  at: number
}

/**
 * `max-size`, `max-age`, `keep-last`: a limit of gc. `unrooted`: gc without a limit. `disk-full`: room was needed.
 * `damaged`: verify found it so. `lost`: its folder was gone.
 */
export type EvictionReason =
  | 'max-size'
  | 'max-age'
  | 'keep-last'
  | 'unrooted'
  | 'disk-full'
  | 'damaged'
  | 'lost'

export interface Deployment {
  key: Key
  files: Deployed[]
}

/** Objects that gc keeps while `folder`, where the pipeline is, exists. */
export interface Root {
  name: string
  digests: Digest[]
  folder: string
}

/**
 * What gc keeps. An object goes when `maxAge` or `keepLast` is given and neither of those given keeps it; then the
 * least recently used go until `maxSize` holds. Without any limit, all goes that is neither rooted nor in use.
 * Carried folders and memo entries go when unused for longer than `maxAge` (7 days, unless `maxSize` alone is given),
 * and before any object where `maxSize` or a full disk asks for room.
 */
export interface GcOptions {
  /** Bytes that all objects, carried folders and memo entries together may take. */
  maxSize?: number
  /** Milliseconds since the last use. */
  maxAge?: number
  /** So many latest results for each stage of each target; at most 20 are known. */
  keepLast?: number
  /** Only says what would go. */
  dryRun?: boolean
}

export interface Eviction {
  digest: Digest
  name: string
  bytes: number
  reason: EvictionReason
  /** Milliseconds since 1970. */
  lastUsed: number
}

export interface GcReport {
  evicted: Eviction[]
  /** Bytes freed, or that would be: those of `caches`, too. */
  bytes: number
  /** Carried folders and memo entries. */
  caches: { dropped: number; kept: number; keptBytes: number }
  /** The objects that stay. */
  kept: { objects: number; bytes: number; rooted: number; inUse: number }
}

export interface VerifyProblem {
  /** The object or file in question, a path. */
  path: string
  problem: string
  /** True when `repair` mended it. */
  repaired: boolean
}

export interface VerifyReport {
  objects: number
  memoEntries: number
  /** Of both. */
  bytes: number
  problems: VerifyProblem[]
  /** True when nothing is wrong, or all has been repaired. */
  ok: boolean
}
