/** Cuts an mtree file into lines of tokens: comments go, continued lines become one. */
import { FleetsieError } from '../../errors.ts'

export interface TokenLine {
  /** Counted from 1; of the first one when lines are continued. */
  line: number
  tokens: string[]
}

const limits = { bytes: 64 << 20, lineBytes: 256 << 10 }

export const fail = (line: number, message: string, hint?: string): FleetsieError =>
  new FleetsieError('E_INPUT', `line ${line}: ${message}`, hint === undefined ? {} : { hint })

/** Fails with E_INPUT, naming the line. */
export function* tokenLines(file: Buffer): Generator<TokenLine> {
  if (file.length > limits.bytes) {
    throw new FleetsieError('E_INPUT', `${file.length} bytes; an mtree file has at most ${limits.bytes}`)
  }
  let joined = ''
  let first = 0
  let number = 0
  for (const text of physicalLines(file)) {
    number++
    if (joined === '') first = number
    joined += text
    if (joined.length > limits.lineBytes) throw fail(first, `longer than ${limits.lineBytes} bytes`)
    if (/^\s*#/.test(joined)) {
      // A comment is never continued, whatever it ends with.
      joined = ''
      continue
    }
    if (/(?:^|[^\\])(?:\\\\)*\\$/.test(joined)) {
      joined = joined.slice(0, -1)
      continue
    }
    const tokens = tokensOf(joined, first)
    joined = ''
    if (tokens.length > 0) yield { line: first, tokens }
  }
  if (joined !== '') throw fail(first, 'the file ends within a continued line', 'remove the `\\` at its end')
}

function* physicalLines(file: Buffer): Generator<string> {
  for (let start = 0, line = 1; start < file.length; line++) {
    const newline = file.indexOf(0x0a, start)
    const end = newline < 0 ? file.length : newline
    const bytes = file.subarray(start, end)
    try {
      yield new TextDecoder('utf-8', { fatal: true, ignoreBOM: line > 1 }).decode(bytes).replace(/\r$/, '')
    } catch (error) {
      if (!(error instanceof TypeError)) throw error
      throw fail(line, 'is not UTF-8', 'write other bytes as `\\ooo`')
    }
    start = end + 1
  }
}

function tokensOf(text: string, line: number): string[] {
  const tokens = text.split(/[ \t]+/).filter((token) => token !== '')
  const comment = tokens.findIndex((token) => token.startsWith('#'))
  const kept = comment < 0 ? tokens : tokens.slice(0, comment)
  for (const token of kept) {
    // NetBSD's mtree cuts the line here, libarchive reads on: neither is what its author meant for sure.
    if (/(?:^|[^\\])(?:\\\\)*#/.test(token))
      throw fail(line, `a \`#\` within ${token}`, 'write it as `\\043`')
  }
  return kept
}
