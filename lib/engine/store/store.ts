/**
 * The store: finished outputs by digest, and what is known about keys. See docs/architecture.md for its layout.
 * This file is the whole interface; each concern has its own file beside it. What a build with nothing to do never
 * calls is loaded by the first call.
 */
import { FleetsieError } from '../../errors.ts'
import type { Manifest } from '../manifest.ts'
import type { Deployed, Digest, Key, Memo } from '../stage.ts'
import * as builds from './builds.ts'
import type { Carrier } from './carried.ts'
import { lockKey } from './key-locks.ts'
import { Layout } from './layout.ts'
import type { Held } from './memo.ts'
import { Objects } from './objects.ts'
import type { Parts } from './parts.ts'
import { Presence } from './presence.ts'
import * as records from './records.ts'
import { openDatabase } from './schema.ts'
import { defaultMinFree, freeReserve, reserve } from './space.ts'
import { loadSqlite } from './sqlite.ts'
import { Statcache } from './statcache.ts'
import { sweepAtOpen, sweepOwn } from './sweep.ts'
import type {
  Deployment,
  GcOptions,
  GcReport,
  KeyLock,
  PublishRequest,
  RecordedBuild,
  RecordedRun,
  Root,
  StoredObject,
  StoreOptions,
  Tombstone,
  Trace,
  VerifyReport,
  Workspace,
} from './types.ts'
import { discardWorkspace, findLog, keepLog, makeWorkspace } from './workspaces.ts'
import { writing } from './writing.ts'

export class Store {
  readonly folder: string
  readonly #parts: Parts
  readonly #objects: Objects
  readonly #statcache: Statcache
  #held: Held | undefined
  #closed = false

  private constructor(parts: Parts) {
    this.folder = parts.layout.folder
    this.#parts = parts
    this.#objects = new Objects(parts)
    this.#statcache = new Statcache(parts)
  }

  /** Opens the store in `folder`, which is made when it is not there, and sweeps what dead processes left. */
  static async open(folder: string, options: StoreOptions = {}): Promise<Store> {
    const { emit = () => {}, readOnly = false } = options
    const sqlite = loadSqlite()
    const layout = new Layout(folder)
    layout.prepare(readOnly)
    const minFree = options.minFree ?? defaultMinFree(layout.folder)
    const sql = openDatabase(sqlite, layout, readOnly)
    // Leases and evictions are small, and must be possible when nothing else is.
    sql.onFull = () => !readOnly && freeReserve(layout)
    const parts = { sqlite, layout, sql, presence: new Presence(sqlite, layout), emit, readOnly, minFree }
    try {
      if (!readOnly) {
        await writing(layout, async () => {
          reserve(layout)
          await sweepAtOpen(parts)
        })
      }
      return new Store(parts)
    } catch (error) {
      parts.presence.end()
      sql.close()
      throw error
    }
  }

  /** Ends this process's use of the store: its leases go, and its workspaces. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    const { sql, presence, readOnly, emit } = this.#parts
    try {
      if (readOnly) return
      // First of all: it may be what fills the disk.
      await sweepOwn(this.#parts)
      this.#objects.release()
      this.#statcache.flush()
    } catch (error) {
      // Leases end with the process in any case, and hashes can be computed again: no reason to fail a build.
      const why = error instanceof Error ? error.message : String(error)
      emit({ type: 'warning', message: `the store could not be left tidy: ${why}` })
    } finally {
      presence.end()
      sql.close()
    }
  }

  /** Lets go of the objects that this process used so far: gc may take them. For a process that watches for days. */
  releaseLeases(): void {
    this.#objects.release()
  }

  /** The result of a key. It is leased: no gc takes it while this process lives. */
  lookup(key: Key): StoredObject | undefined {
    return this.#objects.byKey(key)
  }

  /** The digest that a key led to. The object itself may have been evicted since. */
  trace(key: Key): Digest | undefined {
    return this.#objects.trace(key)
  }

  /** The result of a definition key, leased likewise. */
  lookupDefinition(definitionKey: Key): StoredObject | undefined {
    return this.#objects.byDefinition(definitionKey)
  }

  /** An object by its digest, leased likewise. */
  object(digest: Digest): StoredObject | undefined {
    return this.#objects.byDigest(digest)
  }

  /** A fresh folder for one run of a stage. Makes room on the disk first when that is low. */
  async workspace(): Promise<Workspace> {
    return this.#write(async () => {
      const { autoGc, makeRoomFor } = await import('./gc.ts')
      await autoGc(this.#parts)
      return makeRoomFor(this.#parts, async () => makeWorkspace(this.#parts))
    })
  }

  /** Removes a workspace, read-only folders in it as well. Twice does no harm. */
  async discard(workspace: Workspace): Promise<void> {
    await this.#write(() => discardWorkspace(workspace))
  }

  /**
   * Makes `workspace.out` an object and the result of the key. When the same bytes are here already, that object is
   * the result. The workspace's log is kept. The caller discards the workspace afterwards in any case.
   */
  async publish(request: PublishRequest): Promise<StoredObject> {
    return this.#write(async () => {
      const { autoGc, makeRoomFor } = await import('./gc.ts')
      const { publish } = await import('./publish.ts')
      await autoGc(this.#parts)
      return makeRoomFor(this.#parts, () => publish(this.#parts, this.#objects, this.#statcache, request))
    })
  }

  /** Says that an object that is here is the result of a key (and of a definition key). */
  recordTrace(trace: Trace): void {
    if (!this.#parts.readOnly) this.#objects.record(trace)
  }

  /** Says that an object that is here is the result of a definition key. */
  recordDefinition(definitionKey: Key, digest: Digest): void {
    if (!this.#parts.readOnly) this.#objects.recordDefinition(definitionKey, digest)
  }

  /**
   * Waits until no process, this one included, holds the lock of `key`. `onWait` hears who holds it: at first, and
   * when that changes. `stage` is what others are told. Ask the store again after waiting: the result may be there.
   */
  async lock(
    key: Key,
    onWait: (holder: string) => void,
    signal?: AbortSignal,
    stage?: string,
  ): Promise<KeyLock> {
    return this.#write(() => lockKey(this.#parts, key, onWait, signal, stage))
  }

  /** What a key was made of. */
  manifest(key: Key): Manifest | undefined {
    return records.findManifest(this.#parts, key)
  }

  /** Remembers what a stage of a target was keyed on; the last 20 that differ are kept. `target` as Build.targetId says. */
  recordRun(target: string, stage: string, key: Key, manifest: Manifest): void {
    if (!this.#parts.readOnly) records.recordRun(this.#parts, target, stage, key, manifest)
  }

  /** The run recorded last. */
  previousRun(target: string, stage: string): RecordedRun | undefined {
    return records.findRuns(this.#parts, target, stage, 1)[0]
  }

  /** The runs kept, latest first. */
  runs(target: string, stage: string): RecordedRun[] {
    return records.findRuns(this.#parts, target, stage)
  }

  /** Remembers when the stages of a target ran; the last 50 builds are kept. `target` as Build.targetId says. */
  recordBuild(target: string, build: RecordedBuild): void {
    if (!this.#parts.readOnly) builds.recordBuild(this.#parts, target, build)
  }

  /** The builds kept, latest first. */
  builds(target: string): RecordedBuild[] {
    return builds.findBuilds(this.#parts, target)
  }

  /** Why the result of a key is no longer here. */
  tombstone(key: Key): Tombstone | undefined {
    return records.findTombstone(this.#parts, key)
  }

  /** The kept log of the run that made, or failed to make, a key's result. */
  log(key: Key): string | undefined {
    return findLog(this.#parts, key)
  }

  /** Keeps the log of a run that failed; answers its path. */
  async keepFailedLog(workspace: Workspace, key: Key): Promise<string> {
    return this.#write(() => keepLog(this.#parts, workspace, key))
  }

  /** sha256 of a file, remembered while nothing about the file changes. */
  async sha256(file: string): Promise<string> {
    return this.#statcache.sha256(file)
  }

  /** Takes over the sha256 of a file that whoever wrote it has computed just now. */
  rememberSha256(file: string, sha256: string): void {
    this.#statcache.remember(file, sha256)
  }

  /** The version of the program whose file has this sha256; `ask` is called once in the store's life. */
  async toolVersion(sha256: string, ask: () => Promise<string>): Promise<string> {
    return this.#statcache.toolVersion(sha256, ask)
  }

  /** What a deploy stage did last. `id` names the target and the folder of the pipeline. */
  deployment(id: string): Deployment | undefined {
    return records.findDeployment(this.#parts, id)
  }

  recordDeployment(id: string, key: Key, files: readonly Deployed[]): void {
    if (!this.#parts.readOnly) records.recordDeployment(this.#parts, id, key, files)
  }

  /** Keeps objects from gc under a name, in place of what the name kept before. */
  setRoot(name: string, digests: readonly Digest[], folder: string): void {
    if (!this.#parts.readOnly) records.setRoot(this.#parts, name, digests, folder)
  }

  roots(): Root[] {
    return records.findRoots(this.#parts)
  }

  removeRoot(name: string): boolean {
    return !this.#parts.readOnly && records.removeRoot(this.#parts, name)
  }

  /** Calls `use` with the folder kept under `id`, which nobody else holds meanwhile. See BuildContext.carry. */
  async carry<T>(id: string, carrier: Carrier, use: (folder: string) => Promise<T>): Promise<T> {
    const { carry } = await import('./carried.ts')
    return carry(this.#parts, id, carrier, use)
  }

  /** The memo that all stages share. */
  async memo(): Promise<Memo> {
    const { Held, openMemo } = await import('./memo.ts')
    this.#held ??= new Held()
    return openMemo(this.#parts, this.#held)
  }

  /** Evicts what no limit, root or live process keeps. */
  async gc(options: GcOptions = {}, signal?: AbortSignal): Promise<GcReport> {
    const { collectGarbage } = await import('./gc.ts')
    if (options.dryRun) return collectGarbage(this.#parts, options)
    return this.#write(() => collectGarbage(this.#parts, options, signal))
  }

  /** Evicts the least recently used until there is room, when the disk is low. For a stage that met a full disk. */
  async autoGc(): Promise<GcReport | undefined> {
    const { autoGc } = await import('./gc.ts')
    return this.#write(() => autoGc(this.#parts))
  }

  /** Reads every object and compares it with its listing; `repair` drops what is damaged. */
  async verify(options: { repair?: boolean; signal?: AbortSignal } = {}): Promise<VerifyReport> {
    const { verifyStore } = await import('./verify.ts')
    if (!options.repair) return verifyStore(this.#parts, false, options.signal)
    return this.#write(() => verifyStore(this.#parts, true, options.signal))
  }

  async #write<T>(work: () => Promise<T>): Promise<T> {
    if (this.#parts.readOnly) {
      throw new FleetsieError('E_IO', 'the store was opened for reading only', { file: this.folder })
    }
    return writing(this.#parts.layout, work)
  }
}
