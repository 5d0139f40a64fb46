/** Which modules a TypeScript source loads when it runs. */

// A comment may hold quotes and parentheses, which elsewhere say that this is no list of names. Each text fits these
// patterns in one way only: a second way would be tried as well, and make the search take for ever.
const comment = String.raw`\/\/[^\n]*$|\/\*(?:[^*]|\*(?!\/))*\*\/`
const between = String.raw`(?:[^'"\`;()/]|${comment}|\/(?![/*]))*?`
/** `import type X`, `export type {`; but not `import type from`, nor `import type, { value } from`. */
const typesOnly = String.raw`\s+type(?:\s*[{*]|\s+(?!from\s*['"])[\w$])`

const statement = new RegExp(
  String.raw`(?:^|[;}]|\*\/)[ \t]*(?:import|export)\b(?!${typesOnly})(?:\s|${comment})*(?:${between}\bfrom(?:\s|${comment})*)?(['"])([^'"\n]+)\1`,
  'gm',
)
const call = new RegExp(String.raw`\b(?:import|require)\s*\((?:\s|${comment})*(['"\`])([^'"\`\n$]+)\1`, 'gm')

/**
 * The specifiers of all imports and re-exports in a source, each once, sorted. `import type` is left out
 * because it vanishes. Too many (one named in a comment, say) costs a rebuild; too few would give stale
 * results, so a test compares this with what the TypeScript compiler finds.
 */
export function importSpecifiers(source: string): string[] {
  const found = new Set<string>()
  for (const pattern of [statement, call]) {
    for (const match of source.matchAll(pattern)) found.add(match[2]!)
  }
  return [...found].sort()
}
