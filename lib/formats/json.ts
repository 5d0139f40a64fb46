/** JSON: read where a schema judges it, and written for people with sorted keys, so that equal values are equal bytes. */
import { FleetsieError } from '../errors.ts'

export type Json = null | boolean | number | string | readonly Json[] | JsonObject
/** A member that is undefined is left out. */
export interface JsonObject {
  readonly [name: string]: Json | undefined
}

/** Deeper than any document that we write or read. */
const maxDepth = 32

/** One spelling of `value`, two blanks a level, with a newline at its end. Numbers must be safe integers: others have many spellings. */
export function sortedJson(value: Json): string {
  return `${JSON.stringify(sorted(value, 0), null, 2)}\n`
}

/** Undefined where `text` is no JSON: for who asks a schema next, which refuses that as well. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function sorted(value: Json | undefined, depth: number): unknown {
  if (depth > maxDepth) throw new FleetsieError('E_BUG', 'a document is nested too deeply')
  if (typeof value === 'number' && !Number.isSafeInteger(value)) {
    throw new FleetsieError('E_BUG', `${value} is no safe integer`)
  }
  if (isList(value)) return value.map((item) => sorted(item, depth + 1))
  if (value === null || typeof value !== 'object') return value
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => compareBytes(a, b))
    .map(([name, member]) => [name, sorted(member, depth + 1)])
  return Object.fromEntries(members)
}

function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value)
}

/** Order by UTF-8 bytes, which is the order of code points: the same in every locale. */
export function compareBytes(a: string, b: string): number {
  const shorter = Math.min(a.length, b.length)
  for (let i = 0; i < shorter; i++) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)]
    if (x !== y) return rank(x) - rank(y)
  }
  return a.length - b.length
}

/** Surrogates stand for code points above all others. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit < 0xe000 ? unit + 0x10000 : unit
}
