/** What a build tells the outside. One union; lib/cli/renderers turn it into a live view, lines or JSON. */
import type { ErrorCode } from '../errors.ts'

export type StageAction = 'built' | 'cached' | 'substituted' | 'applied' | 'unchanged'

export type WatchResult = 'built' | 'same' | 'unchanged' | 'failed'

/** Where the writing of a card stands. */
export interface CardProgress {
  card: string
  /** comparing, writing, verifying; a stage of the user's own may have others. */
  phase: string
  /** Bytes of this phase. */
  done: number
  total: number
  /** Bytes a second, of late. */
  rate: number
  /** Milliseconds until this phase ends; left out while nobody can tell. */
  left?: number
  /** What the others wait for: reading, decoding, writing or verifying. */
  slowest: string
}

/** What was done to a card. Sizes in bytes. */
export interface CardReport {
  card: string
  /** How what differs was found: receipt, compared, full; files: it was updated file by file. */
  how: string
  /** An interrupted write was gone on with. */
  resumed: boolean
  bytesCompared: number
  bytesWritten: number
  bytesVerified: number
  /** What the image has and the card had already. */
  bytesSaved: number
  /** What was believed from the receipt and read nevertheless. */
  sampled: number
  /** Milliseconds: of all, and of each phase. */
  ms: number
  phases: Record<string, number>
  slowest: string
  /** Where it was updated file by file. */
  files?: { added: number; changed: number; removed: number; kept: number }
}

/** What differs in one resource of a server. */
export interface ResourceChange {
  server: string
  /** Kind and name: `file /etc/motd`. */
  resource: string
  because: string
  /** Of texts, as in `diff -u`; nothing secret is among them. */
  lines?: readonly string[]
}

/** One file that a target made outside the store. */
export interface Artifact {
  path: string
  sha256: string
  /** image, bmap, sbom, imager, provenance, sums, signature or certificate; a user's stage may add its own. */
  kind: string
}

export type BuildEvent =
  /** A stage begins to run, because of `because`; srv: a server (`target`) is about to be changed in something. */
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
  /** How long a target took that was built, and how many of its stages ran. */
  | { type: 'summary'; target: string; ran: number; stages: number; ms: number }
  /** The last event of a target. */
  | { type: 'artifacts'; target: string; artifacts: Artifact[] }
  /** watch: these files were edited, and `more` than are named; a build begins. Paths as the user would write them. */
  | { type: 'changed'; paths: string[]; more: number }
  /**
   * watch: a build has ended, `ms` after the last edit, and the next edit is waited for. built: `artifacts` are those with
   * other bytes than before. same: stages ran, and made the same. unchanged: nothing that a stage reads had changed.
   */
  | { type: 'ready'; result: WatchResult; ms: number; artifacts: Artifact[] }
  /** updatesd: one of these for each card and moment. */
  | ({ type: 'card-progress' } & CardProgress)
  /** updatesd: a card is written and verified, and may be taken out. */
  | ({ type: 'card' } & CardReport)
  /** updatesd: a card failed; the others go on. */
  | { type: 'card-failed'; card: string; code: ErrorCode; message: string; hint?: string }
  /** srv: something of a server that differs from what it should be, and would be changed, or was in `ms`. */
  | ({ type: 'resource'; action: 'planned' | 'changed'; ms?: number } & ResourceChange)
  /** srv: a server is as it should be; with --plan, `differ` of its `resources` are not. */
  | { type: 'server'; server: string; plan: boolean; resources: number; differ: number; ms: number }
  /** srv: a server failed; the others go on. */
  | { type: 'server-failed'; server: string; code: ErrorCode; message: string; hint?: string }
  /** A line that a command of the user's printed. */
  | { type: 'output'; stream: 'stdout' | 'stderr'; text: string }
  /** A fact that a verb other than build prints: a line of its answer. */
  | { type: 'answer'; text: string; data?: unknown }
  | { type: 'error'; code: ErrorCode; message: string; file?: string; hint?: string; log?: string }

export type Emit = (event: BuildEvent) => void
