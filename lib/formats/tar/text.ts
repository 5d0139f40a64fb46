/** Names in archives: raw bytes that have to be UTF-8 before anything looks at them. */
import { FleetsieError } from '../../errors.ts'

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Decodes UTF-8 or fails with E_INPUT; `what` and `where` go into the message. */
export function utf8(bytes: Uint8Array, what: string, where: string): string {
  try {
    return decoder.decode(bytes)
  } catch (error) {
    const shown = Buffer.from(bytes.subarray(0, 80)).toString('latin1')
    throw new FleetsieError('E_INPUT', `${where}: ${what} ${JSON.stringify(shown)} is not UTF-8`, {
      hint: 'rename the file, `convmv -t utf8` does it for whole trees',
      cause: error,
    })
  }
}

/** True when every byte of the text's UTF-8 form is the character itself. */
export function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return false
  return true
}

/** The first at most `limit` bytes of `text` in UTF-8, never half a character. */
export function truncateUtf8(text: string, limit: number): Buffer {
  const bytes = Buffer.from(text)
  if (bytes.length <= limit) return bytes
  let end = limit
  while (end > 0 && (bytes[end]! & 0xc0) === 0x80) end--
  return bytes.subarray(0, end)
}
