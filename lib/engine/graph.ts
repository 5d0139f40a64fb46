/** The graph behind a derivation: its inputs, found wherever they stand in its options, and a name for each node. */
import { Derivation } from './stage.ts'

export interface NamedInput {
  /** Where it stands in the options: `image`, `layers.0`. */
  label: string
  derivation: Derivation
}

/** The derivations in the options of another, in the order of their labels. */
export function inputsOf(derivation: Derivation): NamedInput[] {
  const found: NamedInput[] = []
  visit(derivation.options, '', (label, value) => {
    if (value instanceof Derivation) found.push({ label, derivation: value })
  })
  return found
}

/** Calls `leaf` for each value that is not a plain object or list, with its dotted path; empty ones count as leaves. */
export function visit(value: unknown, path: string, leaf: (path: string, value: unknown) => void): void {
  const members = membersOf(value)
  if (members.length === 0) leaf(path, value)
  for (const [name, member] of members)
    visit(member, path === '' ? label(name) : `${path}.${label(name)}`, leaf)
}

// { 'a.b': 1 } and { a: { b: 1 } } are not the same.
function label(name: number | string): string {
  return name === '' || /[."]/.test(String(name)) ? JSON.stringify(name) : String(name)
}

function membersOf(value: unknown): [number | string, unknown][] {
  if (value === null || typeof value !== 'object' || value instanceof Derivation) return []
  return Array.isArray(value) ? [...value.entries()] : Object.entries(value).sort(byName)
}

/** The options with each derivation replaced. */
export function replaceInputs(value: unknown, replace: (derivation: Derivation) => unknown): unknown {
  if (value instanceof Derivation) return replace(value)
  if (Array.isArray(value)) return value.map((member) => replaceInputs(member, replace))
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(
      Object.entries(value).map(([name, member]) => [name, replaceInputs(member, replace)]),
    )
  }
  return value
}

/** Every derivation that `root` needs, inputs first, each once. */
export function topological(root: Derivation): Derivation[] {
  const order: Derivation[] = []
  const seen = new Set<Derivation>()
  const walk = (derivation: Derivation): void => {
    if (seen.has(derivation)) return
    seen.add(derivation)
    for (const input of inputsOf(derivation)) walk(input.derivation)
    order.push(derivation)
  }
  walk(root)
  return order
}

/** A name for each node of a target: the stage's name, with a number from the second of its kind on. */
export function nodeNames(root: Derivation): Map<Derivation, string> {
  const names = new Map<Derivation, string>()
  const counts = new Map<string, number>()
  for (const derivation of topological(root)) {
    const count = (counts.get(derivation.stage.name) ?? 0) + 1
    counts.set(derivation.stage.name, count)
    names.set(derivation, count === 1 ? derivation.stage.name : `${derivation.stage.name}-${count}`)
  }
  return names
}

function byName([a]: [string, unknown], [b]: [string, unknown]): number {
  return a < b ? -1 : 1
}
