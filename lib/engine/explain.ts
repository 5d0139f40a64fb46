/** Why a stage runs, in one line; the whole difference for who asks. */
import { diffManifests, type Manifest } from './manifest.ts'

const shown = 2

/** For each input, by its place in the options, the stage that makes it. */
export type InputNames = ReadonlyMap<string, string>

/** One line from two manifests: what changed between the last run of a stage and this one. */
export function because(before: Manifest | undefined, after: Manifest, inputs?: InputNames): string {
  if (before === undefined) return 'it was never built before'
  const changes = diffManifests(before, after)
  if (changes.length === 0) return 'nothing changed'
  const lines = changes
    .sort((a, b) => rank(a.name) - rank(b.name))
    .map((change) => describe(change.name, change.before, change.after, inputs))
  const more = lines.length > shown ? `, +${lines.length - shown} more` : ''
  return lines.slice(0, shown).join(', ') + more
}

/** A user's own edits first, then inputs, then what is beyond them. */
function rank(name: string): number {
  const order = ['source', 'option', 'input', 'identity', 'code', 'tool', 'package']
  const index = order.indexOf(name.split('.')[0]!)
  return index === -1 ? order.length : index
}

/** One changed field of a manifest in words. */
export function describe(
  name: string,
  before: string | undefined,
  after: string | undefined,
  inputs?: InputNames,
): string {
  const dot = name.indexOf('.')
  const kind = dot === -1 ? name : name.slice(0, dot)
  const rest = dot === -1 ? '' : name.slice(dot + 1)
  const verb = before === undefined ? 'was added' : after === undefined ? 'was removed' : 'changed'
  switch (kind) {
    case 'source': {
      const file = oneLine(rest)
      return verb === 'changed' ? `${file} changed (${difference(before!, after!)})` : `${file} ${verb}`
    }
    case 'option':
      if (verb === 'changed') return `option ${rest} ${clip(before!)} -> ${clip(after!)}`
      return verb === 'was added'
        ? `option ${rest} = ${clip(after!)} was added`
        : `option ${rest} was removed`
    case 'input':
      return `its input ${inputs?.has(rest) ? `${inputs.get(rest)} (${rest})` : rest} ${verb}`
    case 'code':
      return `code ${rest} ${verb}`
    case 'tool':
      return verb === 'changed' ? `program ${rest} ${toolChange(before!, after!)}` : `program ${rest} ${verb}`
    case 'package':
      return verb === 'changed' ? `package ${rest} ${toolChange(before!, after!)}` : `package ${rest} ${verb}`
    case 'identity':
      return 'the signing certificate changed'
    default:
      return verb === 'changed' ? `${name} ${clip(before!)} -> ${clip(after!)}` : `${name} ${verb}`
  }
}

/** Between two descriptions of a source: kind, mode or content. */
function difference(before: string, after: string): string {
  const [kindA, a1 = '', a2 = ''] = before.split(' ')
  const [kindB, b1 = '', b2 = ''] = after.split(' ')
  if (kindA !== kindB) return `${kindA} -> ${kindB}`
  if (kindA === 'symlink') return `${clip(before.slice(8))} -> ${clip(after.slice(8))}`
  return a1 === b1 ? `${a2.slice(0, 4)} -> ${b2.slice(0, 4)}` : `mode ${a1} -> ${b1}`
}

function toolChange(before: string, after: string): string {
  const [versionA] = before.split(' ')
  const [versionB] = after.split(' ')
  return versionA === versionB ? `changed within version ${versionA}` : `${versionA} -> ${versionB}`
}

/** A file may be called anything: a reason stays one line. */
function oneLine(name: string): string {
  return /\p{Cc}|\p{Zl}|\p{Zp}/u.test(name) ? JSON.stringify(name) : name
}

function clip(text: string): string {
  return text.length > 40 ? `${text.slice(0, 37)}...` : text
}
