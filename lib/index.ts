/** The package's front door: everything that a pipeline.ts or a stage of one's own needs. */

/** Schemas of options: the same copy of valibot that checks them. */
export * as v from 'valibot'
export * from '../stages/index.ts'
export { pipeline } from './cli/pipeline.ts'
export type { Targets } from './cli/project.ts'
export {
  type BuildContext,
  type BuildStage,
  type DeployContext,
  type Deployed,
  type DeployStage,
  Derivation,
  type Input,
  input,
  type Source,
  type SourceHost,
  stage,
} from './engine/stage.ts'
export { FleetsieError } from './errors.ts'
