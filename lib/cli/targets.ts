/** The targets that a command line names. */
import type { Derivation } from '../engine/stage.ts'
import { FleetsieError } from '../errors.ts'
import type { Targets } from './project.ts'

export interface Target {
  name: string
  about: string | undefined
  root: Derivation
}

/** The named targets, each once, or the first of the pipeline. */
export function chooseTargets(targets: Targets, names: readonly string[]): Target[] {
  const known = Object.keys(targets)
  if (known.length === 0) throw new FleetsieError('E_USAGE', 'pipeline.ts has no targets')
  const wanted = names.length === 0 ? known.slice(0, 1) : [...new Set(names)]
  return wanted.map((name) => {
    if (!Object.hasOwn(targets, name)) {
      throw new FleetsieError('E_USAGE', `there is no target ${JSON.stringify(name)}`, {
        hint: `one of ${known.join(', ')}`,
      })
    }
    const definition = targets[name]!
    return typeof definition === 'function'
      ? { name, about: undefined, root: definition() }
      : { name, about: definition.about, root: definition.make() }
  })
}
