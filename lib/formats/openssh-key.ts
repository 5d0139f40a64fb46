/**
 * Ed25519 keys as OpenSSH writes them: the public line of `.pub` files and authorized_keys (RFC 8709), and the
 * private file `openssh-key-v1` without a passphrase (OpenSSH's PROTOCOL.key).
 */

const type = 'ssh-ed25519'
const keyBytes = 32
const magic = 'openssh-key-v1\0'
/** Of the cipher `none`. */
const blockSize = 8

/** A public key as `ssh-ed25519 BASE64`, of its 32 bytes. */
export function publicKeyLine(publicKey: Uint8Array): string {
  return `${type} ${publicBlob(publicKey).toString('base64')}`
}

/**
 * The one way to write the key that `text` begins with, without its comment; undefined for anything but one
 * well-formed Ed25519 key.
 */
export function canonicalPublicKey(text: string): string | undefined {
  const [name, base64 = ''] = text.trim().split(/[ \t]+/, 2)
  const publicKey = Buffer.from(base64.slice(0, 100), 'base64').subarray(-keyBytes)
  if (publicKey.length !== keyBytes) return undefined
  const line = publicKeyLine(publicKey)
  return line === `${name} ${base64}` ? line : undefined
}

/**
 * The private file, with a final newline. `seed` is the private half of RFC 8032 (32 bytes); `check` any 32-bit
 * number, which a reader finds twice.
 */
export function privateKeyFile(key: {
  seed: Uint8Array
  publicKey: Uint8Array
  comment: string
  check: number
}): string {
  const secret = Buffer.concat([
    uint32(key.check),
    uint32(key.check),
    field(type),
    field(key.publicKey),
    field(Buffer.concat([key.seed, key.publicKey])),
    field(key.comment),
  ])
  const padding = Buffer.from(Array.from({ length: -secret.length & (blockSize - 1) }, (_, i) => i + 1))
  const whole = Buffer.concat([
    Buffer.from(magic),
    field('none'),
    field('none'),
    field(''),
    uint32(1),
    field(publicBlob(key.publicKey)),
    field(Buffer.concat([secret, padding])),
  ])
  const lines = whole.toString('base64').match(/.{1,70}/g) ?? []
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines.join('\n')}\n-----END OPENSSH PRIVATE KEY-----\n`
}

function publicBlob(publicKey: Uint8Array): Buffer {
  return Buffer.concat([field(type), field(publicKey)])
}

function field(bytes: string | Uint8Array): Buffer {
  const content = Buffer.from(bytes)
  return Buffer.concat([uint32(content.length), content])
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
