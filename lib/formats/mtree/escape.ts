/**
 * Names in mtree files: vis(3) in C style, as NetBSD's mtree and libarchive write them.
 * Source: NetBSD vis(3), unvis(3) with VIS_CSTYLE | VIS_META; libarchive's own subset of it.
 */
const single: Record<string, number> = {
  a: 0x07,
  b: 0x08,
  t: 0x09,
  n: 0x0a,
  v: 0x0b,
  f: 0x0c,
  r: 0x0d,
  E: 0x1b,
  s: 0x20,
}

const escapes =
  /\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{2})|(M?)\^([@-_?])|M-([!-~])|([abtnvfrEs])|([!-/:-@[-`{-~]))/g

/** The bytes that a token stands for. Nothing when an escape in it is unknown; `\0` to `\377`, `\s`, `\M-C`, `\^[` … are known. */
export function unescapeName(token: string): Buffer | undefined {
  const parts: Buffer[] = []
  let at = 0
  for (const match of token.matchAll(escapes)) {
    const between = token.slice(at, match.index)
    if (between.includes('\\')) return undefined
    const byte = byteOf(match)
    if (byte === undefined) return undefined
    parts.push(Buffer.from(between), byte)
    at = match.index + match[0].length
  }
  const rest = token.slice(at)
  if (rest.includes('\\')) return undefined
  return Buffer.concat([...parts, Buffer.from(rest)])
}

function byteOf(match: RegExpExecArray): Buffer | undefined {
  const [, octal, hex, meta, control, high, letter, literal] = match
  if (octal !== undefined) {
    const value = Number.parseInt(octal, 8)
    return value > 0xff ? undefined : Buffer.of(value)
  }
  if (hex !== undefined) return Buffer.of(Number.parseInt(hex, 16))
  if (control !== undefined) {
    const value = control === '?' ? 0x7f : control.charCodeAt(0) & 0x1f
    return Buffer.of(meta ? value | 0x80 : value)
  }
  if (high !== undefined) return Buffer.of(high.charCodeAt(0) | 0x80)
  if (letter !== undefined) return Buffer.of(single[letter]!)
  return Buffer.from(literal!)
}

/** Octal for all but plain characters: what every reader of mtree files understands. */
export function escapeName(name: string): string {
  let text = ''
  for (const byte of Buffer.from(name)) {
    const character = String.fromCharCode(byte)
    text += /[A-Za-z0-9._/+,:@%-]/.test(character) ? character : `\\${byte.toString(8).padStart(3, '0')}`
  }
  return text
}
