/**
 * The format of sha256sum(1): a digest, a blank, a marker (blank for text, `*` for binary) and a name.
 * A line that begins with a backslash holds a name with `\\`, `\n` and `\r` in place of those bytes.
 */
import { FleetsieError } from '../errors.ts'
import { compareBytes } from './json.ts'

export interface Sum {
  /** 64 lower-case hex digits. */
  sha256: string
  name: string
}

const maxBytes = 16 * 1024 * 1024
const maxLines = 100_000

/** Writes what `sha256sum -c` reads, sorted by name. */
export function formatSums(sums: readonly Sum[]): string {
  return [...sums]
    .sort((a, b) => compareBytes(a.name, b.name))
    .map(({ sha256, name }) => {
      const escaped = name.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('\r', '\\r')
      return `${escaped === name ? '' : '\\'}${sha256}  ${escaped}\n`
    })
    .join('')
}

/** Reads what sha256sum writes. Fails with E_DAMAGED, naming the line. */
export function parseSums(text: string): Sum[] {
  if (text.length > maxBytes) throw new FleetsieError('E_DAMAGED', `more than ${maxBytes} bytes of sums`)
  const lines = text.split('\n')
  if (lines.at(-1) === '') lines.pop()
  if (lines.length > maxLines) throw new FleetsieError('E_DAMAGED', `more than ${maxLines} sums`)
  const seen = new Set<string>()
  return lines.map((line, index) => {
    const sum = parseLine(line)
    if (!sum) throw new FleetsieError('E_DAMAGED', `line ${index + 1} is not as sha256sum writes it`)
    if (seen.has(sum.name)) {
      throw new FleetsieError('E_DAMAGED', `line ${index + 1} names ${JSON.stringify(sum.name)} again`)
    }
    seen.add(sum.name)
    return sum
  })
}

function parseLine(line: string): Sum | undefined {
  const match = /^(\\?)([0-9a-fA-F]{64}) [ *](.+)$/s.exec(line)
  if (!match) return undefined
  const [, escaped, digest, raw] = match as unknown as [string, string, string, string]
  const name = escaped ? unescapeName(raw) : raw
  return name === undefined || name.includes('\0') ? undefined : { sha256: digest.toLowerCase(), name }
}

function unescapeName(raw: string): string | undefined {
  if (/\\(?![\\nr])/.test(raw.replaceAll('\\\\', ''))) return undefined
  return raw.replace(/\\([\\nr])/g, (_, letter: string) =>
    letter === 'n' ? '\n' : letter === 'r' ? '\r' : '\\',
  )
}
