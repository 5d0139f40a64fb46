/** Which modules a TypeScript source loads when it runs. */

const statement = /^[ \t]*(?:import|export)(?!\s+type\b)\s+(?:[^'"`;()]*?\bfrom\s*)?(['"])([^'"\n]+)\1/gm
const dynamic = /\bimport\(\s*(['"])([^'"\n]+)\1\s*\)/g

/**
 * The specifiers of all imports and re-exports in a source, each once, sorted. `import type` is left out
 * because it vanishes. Too many (one named in a comment, say) costs a rebuild; too few would give stale
 * results, so a test compares this with what the TypeScript compiler finds.
 */
export function importSpecifiers(source: string): string[] {
  const found = new Set<string>()
  for (const pattern of [statement, dynamic]) {
    for (const match of source.matchAll(pattern)) found.add(match[2]!)
  }
  return [...found].sort()
}
