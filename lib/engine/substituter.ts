/**
 * Where a result may come from instead of being built: a binary cache, another store.
 *
 * The scheduler asks after the local store missed and before it takes the key's lock to build: each substituter in the
 * order given, first with the definition key of a whole target (one question instead of one for each stage), then
 * with the key of a stage. The first hit is applied to a fresh workspace and published like a built output, so the
 * store hashes every byte itself; what it does not trust or cannot read it counts as a miss.
 */
import type { Digest, Key } from './stage.ts'
import type { Workspace } from './store/types.ts'

export interface Substituter {
  /** What the user sees: "restored from NAME". */
  readonly name: string
  /**
   * Asks for a key or a definition key. Answers undefined for a miss. It never fails the build: whatever is wrong
   * with the other side is a miss, with one warning for each run, and it stops asking a side that is down.
   * Misses are remembered for this run only.
   */
  lookup(key: Key, signal?: AbortSignal): Promise<Hit | undefined>
}

export interface Hit {
  /** The digest that the published object must have; the scheduler refuses another. */
  readonly digest: Digest
  /** The name for the object's folder: the stage's. */
  readonly name: string
  /** Bytes to fetch, when known; for the progress shown. */
  readonly bytes?: number
  /** The origin in words, with who signed it: "https://cache.example (signed by main-1)". */
  readonly origin: string
  /**
   * Fills `workspace.out`; the caller throws the workspace away when this fails. `progress` takes the bytes so far.
   */
  apply(workspace: Workspace, signal?: AbortSignal, progress?: (done: number) => void): Promise<void>
}
