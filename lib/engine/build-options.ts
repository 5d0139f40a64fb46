/** What a build is told. */
import type { Emit } from './events.ts'
import type { Store } from './store/store.ts'
import type { Substituter } from './substituter.ts'

export interface BuildOptions {
  store: Store
  emit: Emit
  /** The folder of pipeline.ts. */
  cwd: string
  signal: AbortSignal
  jobs?: number
  keepGoing?: boolean
  /** Stages that are not looked up: their names, or true for all. */
  noCache?: true | ReadonlySet<string>
  /** Build every stage once more and compare. */
  check?: boolean
  /** SOURCE_DATE_EPOCH in seconds. */
  epoch?: number
  cacheEpoch?: string
  substituters?: readonly Substituter[]
  /** Called with the work folder of a stage that failed, before it is thrown away. */
  debugShell?: (folder: string) => Promise<void>
}
