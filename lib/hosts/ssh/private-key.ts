/** The public half that an encrypted OpenSSH private key holds in clear (PROTOCOL.key of OpenSSH). */
import ssh2, { type ParsedKey } from 'ssh2'

const header = '-----BEGIN OPENSSH PRIVATE KEY-----'
const footer = '-----END OPENSSH PRIVATE KEY-----'
const magic = 'openssh-key-v1\0'

/** Nothing for a file of another form. */
export function encryptedPublicKey(file: Buffer): ParsedKey | undefined {
  const text = file.toString('latin1').trim()
  if (!text.startsWith(header) || !text.endsWith(footer)) return undefined
  const bytes = Buffer.from(text.slice(header.length, -footer.length), 'base64')
  if (bytes.toString('latin1', 0, magic.length) !== magic) return undefined
  let at = magic.length
  const take = (): Buffer | undefined => {
    if (at + 4 > bytes.length) return undefined
    const length = bytes.readUInt32BE(at)
    at += 4 + length
    return at > bytes.length ? undefined : bytes.subarray(at - length, at)
  }
  // Cipher, key derivation and its options, then the number of keys.
  for (let skipped = 0; skipped < 3; skipped++) if (take() === undefined) return undefined
  at += 4
  const blob = take()
  const key = blob === undefined ? undefined : ssh2.utils.parseKey(blob)
  return key === undefined || key instanceof Error ? undefined : key
}
