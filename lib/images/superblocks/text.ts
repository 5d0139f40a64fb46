/** Labels and ids as superblocks hold them, as text. */

/** A label in its fixed field: ends at the first NUL, blanks at its end are padding. null when nothing is left. */
export function label(field: Buffer): string | null {
  const end = field.indexOf(0)
  const used = end < 0 ? field : field.subarray(0, end)
  // Not all of them are UTF-8 (FAT has code pages): a byte that is not stays visible as one character.
  const utf8 = used.toString('utf8')
  const text = (utf8.includes('\ufffd') ? used.toString('latin1') : utf8).trimEnd()
  return text === '' ? null : text
}

/** The same for UTF-16LE. */
export function wideLabel(field: Buffer): string | null {
  const text = field.toString('utf16le')
  const end = text.indexOf('\0')
  const used = (end < 0 ? text : text.slice(0, end)).trimEnd()
  return used === '' ? null : used
}

/** Sixteen bytes in the order of RFC 9562; null when all are zero. */
export function uuid(bytes: Buffer): string | null {
  const hex = bytes.toString('hex')
  if (/^0*$/.test(hex)) return null
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}
