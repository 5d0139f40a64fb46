/** What a pipeline.ts declares. */
import type { Derivation } from '../engine/stage.ts'

/** What makes an artifact, called only when that is wanted; `about` is a line for whoever builds it. */
export type TargetDefinition = (() => Derivation) | { about: string; make: () => Derivation }

/** Name of a target → what makes it. The first is the default. */
export type Targets = Record<string, TargetDefinition>

/** A pipeline.ts that is being run: its targets and its folder, against which paths count. */
export interface Project {
  targets: Targets
  cwd: string
  /** The pipeline.ts itself. */
  script: string
}
