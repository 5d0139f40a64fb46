/** Makes a machine equal to a list of resources: one look, a plan, the changes, and a second look that has to agree. */
import { FleetsieError } from '../errors.ts'
import { look } from './look.ts'
import type { Difference, Facts, Place, Progress, Resource } from './resources/resource.ts'

/** A resource that is not as it should be. */
export interface Planned {
  resource: Resource
  facts: Facts
  difference: Difference
}

/** What differs, in the order of the resources. Changes nothing. */
export async function plan(place: Place, resources: readonly Resource[]): Promise<Planned[]> {
  const all = await look(place, resources)
  const planned: Planned[] = []
  for (const [index, resource] of resources.entries()) {
    const facts = all[index]!
    const difference = await resource.diff(facts)
    if (difference) planned.push({ resource, facts, difference })
  }
  return planned
}

/**
 * Applies what differs, in its order, then looks again. `done` is told each change with its milliseconds; `begin` is told
 * it before, and answers who wants to know how far it is. Fails with what the first failing resource says, named; with
 * E_VERIFY when a resource still differs afterwards.
 */
export async function apply(
  place: Place,
  resources: readonly Resource[],
  planned: readonly Planned[],
  done: (change: Planned, ms: number) => void,
  begin: (change: Planned) => Progress = () => () => {},
): Promise<void> {
  for (const { resource, facts } of planned) {
    await resource.prepare?.(facts)
  }
  for (const change of planned) {
    const started = performance.now()
    try {
      await change.resource.apply(place, change.facts, begin(change))
    } catch (error) {
      throw naming(change.resource, error)
    }
    done(change, performance.now() - started)
  }
  if (planned.length === 0) return
  const [left] = await plan(place, resources)
  if (!left) return
  const { resource, difference } = left
  throw new FleetsieError('E_VERIFY', `${resource.name} was applied and still differs: ${difference.because}`)
}

function naming(resource: Resource, error: unknown): unknown {
  if (!(error instanceof FleetsieError) || error.code === 'E_INTERRUPTED') return error
  const { code, message, hint } = error
  return new FleetsieError(code, `${resource.name}: ${message}`, {
    cause: error,
    ...(hint === undefined ? {} : { hint }),
  })
}
