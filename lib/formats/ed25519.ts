/** New Ed25519 keys as their bytes (RFC 8032). */
import { generateKeyPairSync } from 'node:crypto'

const keyBytes = 32

/**
 * A new key: 32 bytes that are its private half, and 32 that are its public one. RFC 8410 has both at the end of their
 * DER. The key is written while it is made: Node 20 waits for itself, for ever, when it collects garbage in the `export`
 * of a key that `generateKeyPairSync` has returned.
 */
export function newEd25519Key(): { seed: Buffer; publicKey: Buffer } {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519', {
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'der' },
  })
  return { seed: privateKey.subarray(-keyBytes), publicKey: publicKey.subarray(-keyBytes) }
}
