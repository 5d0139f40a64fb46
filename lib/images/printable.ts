/** Names from an image as text that steers nothing: what is no UTF-8, controls and turns the text around is spelled out. */

/** One well-formed character of UTF-8 in bytes as latin1 (RFC 3629, section 4), or any byte. */
const character =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: bytes, not characters
  /[\x00-\x7f]|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}|[\s\S]/g

/** Control and format characters, among them all that turn text around; separators of lines. */
const unseen = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

/** `bytes` (latin1) as one line of text: `\xNN` for a byte that is no UTF-8, `\u{NNNN}` for what would not be seen. */
export function printable(bytes: string): string {
  const text = bytes.replace(character, (found) => {
    if (found.length === 1 && found >= '\x80') return `\\x${found.charCodeAt(0).toString(16)}`
    return Buffer.from(found, 'latin1').toString('utf8')
  })
  return text.replace(unseen, (found) => `\\u{${found.codePointAt(0)!.toString(16)}}`)
}
