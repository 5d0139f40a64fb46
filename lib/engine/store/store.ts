/** The store: finished outputs by digest, and what is known about keys. See docs/architecture.md for its layout. */
import { FleetsieError } from '../../errors.ts'
import type { Manifest } from '../manifest.ts'
import type { Deployed, Digest, Key } from '../stage.ts'
import type {
  Deployment,
  GcOptions,
  GcReport,
  KeyLock,
  PublishRequest,
  RecordedRun,
  Root,
  StoredObject,
  StoreOptions,
  Tombstone,
  Trace,
  VerifyReport,
  Workspace,
} from './types.ts'

const later = (): never => {
  throw new FleetsieError('E_BUG', 'not written yet')
}

export class Store {
  readonly folder: string

  private constructor(folder: string) {
    this.folder = folder
  }

  /** Opens the store in `folder`, which is made when it is not there, and sweeps what dead processes left. */
  static async open(folder: string, _options: StoreOptions = {}): Promise<Store> {
    return new Store(folder)
  }

  /** Ends this process's use of the store: its leases go, and its workspaces. */
  async close(): Promise<void> {
    later()
  }

  /** Lets go of the objects that this process used so far: gc may take them. For a process that watches for days. */
  releaseLeases(): void {
    later()
  }

  /** The result of a key. It is leased: no gc takes it while this process lives. */
  lookup(_key: Key): StoredObject | undefined {
    return later()
  }

  /** The result of a definition key, leased likewise. */
  lookupDefinition(_definitionKey: Key): StoredObject | undefined {
    return later()
  }

  /** An object by its digest, leased likewise. */
  object(_digest: Digest): StoredObject | undefined {
    return later()
  }

  /** A fresh folder for one run of a stage. Makes room on the disk first when that is low. */
  async workspace(): Promise<Workspace> {
    return later()
  }

  /** Removes a workspace, read-only folders in it as well. Twice does no harm. */
  async discard(_workspace: Workspace): Promise<void> {
    later()
  }

  /**
   * Makes `workspace.out` an object and the result of the key. When the same bytes are here already, that object is
   * the result. The workspace's log is kept. The caller discards the workspace afterwards in any case.
   */
  async publish(_request: PublishRequest): Promise<StoredObject> {
    return later()
  }

  /** Says that an object that is here is the result of a key (and of a definition key). */
  recordTrace(_trace: Trace): void {
    later()
  }

  /** Says that an object that is here is the result of a definition key. */
  recordDefinition(_definitionKey: Key, _digest: Digest): void {
    later()
  }

  /**
   * Waits until no process, this one included, holds the lock of `key`. `onWait` hears who holds it: at first, and
   * when that changes. `stage` is what others are told. Ask the store again after waiting: the result may be there.
   */
  async lock(
    _key: Key,
    _onWait: (holder: string) => void,
    _signal?: AbortSignal,
    _stage?: string,
  ): Promise<KeyLock> {
    return later()
  }

  /** What a key was made of. */
  manifest(_key: Key): Manifest | undefined {
    return later()
  }

  /** Remembers what a stage of a target was keyed on; the last 20 that differ are kept. */
  recordRun(_target: string, _stage: string, _key: Key, _manifest: Manifest): void {
    later()
  }

  /** The run recorded last. */
  previousRun(_target: string, _stage: string): RecordedRun | undefined {
    return later()
  }

  /** The runs kept, latest first. */
  runs(_target: string, _stage: string): RecordedRun[] {
    return later()
  }

  /** Why the result of a key is no longer here. */
  tombstone(_key: Key): Tombstone | undefined {
    return later()
  }

  /** The kept log of the run that made, or failed to make, a key's result. */
  log(_key: Key): string | undefined {
    return later()
  }

  /** Keeps the log of a run that failed; answers its path. */
  async keepFailedLog(_workspace: Workspace, _key: Key): Promise<string> {
    return later()
  }

  /** sha256 of a file outside the store, remembered while nothing about the file changes. */
  async sha256(_file: string): Promise<string> {
    return later()
  }

  /** The version of the program whose file has this sha256; `ask` is called once in the store's life. */
  async toolVersion(_sha256: string, _ask: () => Promise<string>): Promise<string> {
    return later()
  }

  /** What a deploy stage did last. `id` names the target and the folder of the pipeline. */
  deployment(_id: string): Deployment | undefined {
    return later()
  }

  recordDeployment(_id: string, _key: Key, _files: readonly Deployed[]): void {
    later()
  }

  /** Keeps objects from gc under a name, in place of what the name kept before. */
  setRoot(_name: string, _digests: readonly Digest[], _folder: string): void {
    later()
  }

  roots(): Root[] {
    return later()
  }

  removeRoot(_name: string): boolean {
    return later()
  }

  /** Evicts what no limit, root or live process keeps. */
  async gc(_options: GcOptions = {}): Promise<GcReport> {
    return later()
  }

  /** Evicts the least recently used until there is room, when the disk is low. For a stage that met a full disk. */
  async autoGc(): Promise<GcReport | undefined> {
    return later()
  }

  /** Reads every object and compares it with its listing; `repair` drops what is damaged. */
  async verify(_options: { repair?: boolean } = {}): Promise<VerifyReport> {
    return later()
  }
}
