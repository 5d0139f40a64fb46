/** What os-release(5) says: assignments, the values in quotes or bare. */

/** KEY=VALUE lines with a shell's quotes. */
export function parseOsRelease(text: string): Map<string, string> {
  const fields = new Map<string, string>()
  for (const line of text.split(/\r?\n/)) {
    const match = /^([A-Z][A-Z0-9_]*)=(.*)$/.exec(line.trim())
    if (!match) continue
    const [, key = '', value = ''] = match
    const quoted = /^(["'])(.*)\1$/.exec(value)
    fields.set(key, (quoted?.[2] ?? value).replace(/\\(["'`$\\])/g, '$1'))
  }
  return fields
}
