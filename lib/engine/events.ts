/** What a build tells the outside. One union; lib/cli/renderers turn it into a live view, lines or JSON. */
import type { ErrorCode } from '../errors.ts'

export type StageAction = 'built' | 'cached' | 'substituted' | 'applied' | 'unchanged'

export type WatchResult = 'built' | 'same' | 'unchanged' | 'failed'

/** One file that a target made outside the store. */
export interface Artifact {
  path: string
  sha256: string
  /** image, bmap, sbom, imager, provenance, sums, signature or certificate; a user's stage may add its own. */
  kind: string
}

export type BuildEvent =
  /** A stage begins to run, because of `because`. */
  | { type: 'start'; target: string; stage: string; because: string }
  /** Work done so far, in units of `unit`; total is undefined when nobody knows it. */
  | { type: 'progress'; target: string; stage: string; done: number; total?: number; unit: 'bytes' | 'files' }
  /** A stage ended well. */
  | { type: 'stage'; target: string; stage: string; action: StageAction; because: string; ms: number }
  /** A stage failed; the build goes on elsewhere only with --keep-going. */
  | { type: 'failed'; target: string; stage: string; code: ErrorCode; message: string; log?: string }
  /** Something that the user should know and that is no error. */
  | { type: 'note'; target?: string; stage?: string; message: string }
  | { type: 'warning'; target?: string; stage?: string; message: string }
  /** Another process holds the lock of this key. */
  | { type: 'waiting'; target: string; stage: string; message: string }
  /** What the store gave up, and why. */
  | { type: 'evicted'; object: string; bytes: number; reason: string }
  /** The last event of a target. */
  | { type: 'artifacts'; target: string; artifacts: Artifact[] }
  /** watch: these files were edited, and `more` than are named; a build begins. Paths as the user would write them. */
  | { type: 'changed'; paths: string[]; more: number }
  /**
   * watch: a build has ended, `ms` after the last edit, and the next edit is waited for. built: `artifacts` are those with
   * other bytes than before. same: stages ran, and made the same. unchanged: nothing that a stage reads had changed.
   */
  | { type: 'ready'; result: WatchResult; ms: number; artifacts: Artifact[] }
  /** A line that a command of the user's printed. */
  | { type: 'output'; stream: 'stdout' | 'stderr'; text: string }
  /** A fact that a verb other than build prints: a line of its answer. */
  | { type: 'answer'; text: string; data?: unknown }
  | { type: 'error'; code: ErrorCode; message: string; file?: string; hint?: string; log?: string }

export type Emit = (event: BuildEvent) => void
