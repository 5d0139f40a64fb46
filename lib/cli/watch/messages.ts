/** What the two processes of a watch say to each other, as JSON over Node's channel. */
import { sha256Hex } from '../../engine/canonical.ts'
import type { Artifact, BuildEvent, WatchResult } from '../../engine/events.ts'
import type { WatchList } from '../../engine/watch/watch-list.ts'
import type { ErrorEvent } from '../error-event.ts'

/** To the builder. */
export type Order =
  /**
   * Something was edited, or may have been: then `edited` is false. `id` counts these; 0 is the first build, which nobody
   * orders.
   */
  { type: 'build'; id: number; edited: boolean } | { type: 'end' }

/** From the builder. */
export type Report =
  /** What to look at from now on. `code`: files of this list that only a new process takes up. */
  | { type: 'list'; list: WatchList; code: string[] }
  /** What a build tells. */
  | { type: 'event'; id: number; event: BuildEvent }
  /** A build has ended. `artifacts` are all that the targets have. */
  | { type: 'done'; id: number; result: WatchResult; artifacts: Artifact[] }
  /** This process ends, and has ended the command of `--then` before its time. */
  | { type: 'unfinished' }
  /** The code that this process runs was edited. */
  | { type: 'stale' }
  /** This process cannot build and ends: the script is broken, or the command line. */
  | { type: 'unloadable'; error: ErrorEvent }

/** Set for the process that builds: what the one before it left. */
const builderVariable = 'FLEETSIE_WATCH_BUILDER'

export interface Left {
  /** The sum of its artifacts; nothing before the first build. */
  artifacts: string
  /** The command of `--then` was ended with it. */
  unfinished: boolean
}

/** The environment of a builder that takes over what the one before has left. */
export function builderEnvironment(env: NodeJS.ProcessEnv, left: Left): NodeJS.ProcessEnv {
  return { ...env, [builderVariable]: JSON.stringify(left) }
}

/** What the builder before this one has left. */
export function leftBefore(): Left {
  const text = process.env[builderVariable]
  return text === undefined ? { artifacts: '', unfinished: false } : (JSON.parse(text) as Left)
}

/** Equal for equal artifacts. */
export function sumOf(artifacts: readonly Artifact[]): string {
  return sha256Hex(JSON.stringify(artifacts))
}

/** Whether this process was started to build. Programs that it runs are not told so. */
export function isBuilder(): boolean {
  return builderVariable in process.env && process.send !== undefined
}

/** For programs of the user's that a builder runs. */
export function userEnvironment(): Record<string, string> {
  const kept = Object.entries(process.env).filter(([name]) => name !== builderVariable)
  return Object.fromEntries(kept.map(([name, value]) => [name, value ?? '']))
}

/** Tells it to who watches. */
export function tell(report: Report): void {
  // Who watches may have gone: then this process ends as well.
  if (process.connected) process.send?.(report, () => {})
}
