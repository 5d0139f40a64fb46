/** Finds private keys by what a file holds, whatever it is called. */

/** Enough for a marker, the line breaks after it and the beginning of what follows. */
const overlap = 256

// A marker alone is in many programs and scripts; a key has base64 or a header line after it.
const textual = new RegExp(
  '(?:-{4,5} ?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}(?:\\s|\\\\r|\\\\n){1,16}(?:[A-Za-z0-9+/=]{16}|[A-Z][A-Za-z-]+: )' +
    '|PuTTY-User-Key-File-[0-9]+: |SSH PRIVATE KEY FILE FORMAT 1\\.1\\n)',
)

/** A PFX: version 3, then pkcs7-data or pkcs7-signedData. RFC 7292, section 4. */
const pkcs12 = new RegExp(
  '^\\x30(?:\\x80|[\\x00-\\x7f]|\\x81[^]|\\x82[^]{2}|\\x83[^]{3}|\\x84[^]{4})\\x02\\x01\\x03' +
    '\\x30(?:\\x80|[\\x00-\\x7f]|\\x81[^]|\\x82[^]{2}|\\x83[^]{3}|\\x84[^]{4})\\x06\\x09\\x2a\\x86\\x48\\x86\\xf7\\x0d\\x01\\x07[\\x01\\x02]',
)

/** Takes a file piece by piece; true once a key has been seen, PEM, PKCS#8, OpenSSH, PGP, PuTTY or PKCS#12, encrypted or not. */
export function privateKeyFinder(): (piece: Buffer) => boolean {
  let before = ''
  let start = true
  let found = false
  return (piece) => {
    if (found) return true
    const text = before + piece.toString('latin1')
    found = textual.test(text) || (start && pkcs12.test(text))
    // The first bytes may come one by one.
    start &&= text.length < overlap
    before = text.slice(-overlap)
    return found
  }
}
