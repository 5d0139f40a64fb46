/** The key that a machine shows, against what known_hosts has. */
import { createHash } from 'node:crypto'
import type { ServerHostKeyAlgorithm } from 'ssh2'
import { FleetsieError } from '../../errors.ts'
import { shellWord } from '../../formats/shell.ts'
import type { SshConfig } from './config.ts'
import type { KnownKey } from './known-hosts.ts'
import type { HostKey } from './types.ts'

/** What ssh2 can verify, the best first; RSA with SHA-1 is not among them (OpenSSH dropped it in 8.8). */
const algorithms: readonly { algorithm: ServerHostKeyAlgorithm; type: string }[] = [
  { algorithm: 'ssh-ed25519', type: 'ssh-ed25519' },
  { algorithm: 'ecdsa-sha2-nistp256', type: 'ecdsa-sha2-nistp256' },
  { algorithm: 'ecdsa-sha2-nistp384', type: 'ecdsa-sha2-nistp384' },
  { algorithm: 'ecdsa-sha2-nistp521', type: 'ecdsa-sha2-nistp521' },
  { algorithm: 'rsa-sha2-512', type: 'ssh-rsa' },
  { algorithm: 'rsa-sha2-256', type: 'ssh-rsa' },
]

/** What to ask the machine for: first the types that are known of it, or a known machine would seem to be another. */
export function hostKeyAlgorithms(
  config: Pick<SshConfig, 'hostKeyAlgorithms'>,
  known: readonly KnownKey[],
): ServerHostKeyAlgorithm[] {
  const types = new Set(known.filter(({ marker }) => marker === undefined).map(({ type }) => type))
  const allowed = algorithms.filter(
    ({ algorithm }) => config.hostKeyAlgorithms.length === 0 || config.hostKeyAlgorithms.includes(algorithm),
  )
  const usable = allowed.length > 0 ? allowed : algorithms
  return [
    ...usable.filter(({ type }) => types.has(type)),
    ...usable.filter(({ type }) => !types.has(type)),
  ].map(({ algorithm }) => algorithm)
}

/** Reads a public key of RFC 4253, section 6.6. */
export function hostKey(blob: Buffer): HostKey {
  const length = blob.length < 4 ? 0 : blob.readUInt32BE(0)
  const digest = createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')
  return {
    type: blob.toString('latin1', 4, 4 + Math.min(length, 64)),
    base64: blob.toString('base64'),
    fingerprint: `SHA256:${digest}`,
  }
}

/**
 * True for a machine that is known, false for one of which nothing is. Fails with E_VERIFY, naming file and line, when
 * the key is revoked or another one than is known.
 */
export function isKnown(
  name: string,
  { knownAs }: Pick<SshConfig, 'knownAs'>,
  shown: HostKey,
  known: readonly KnownKey[],
): boolean {
  const same = known.filter(({ base64 }) => base64 === shown.base64)
  const revoked = same.find(({ marker }) => marker === 'revoked')
  if (revoked) {
    throw refusal(`${name} shows a key that was revoked (line ${revoked.line})`, revoked, {
      hint: `do not connect; ask who runs that machine for its key instead of ${shown.fingerprint}`,
    })
  }
  if (same.some(({ marker }) => marker === undefined)) return true
  // Another key of the same host at port 22 says nothing about this port.
  const others = known.filter((key) => key.marker === undefined && key.name === knownAs)
  const other = others.find(({ type }) => type === shown.type) ?? others[0]
  if (other) {
    const forget = `ssh-keygen -R ${shellWord(other.name)} -f ${shellWord(other.file)}`
    throw refusal(`${name} shows another key than the one that is known (line ${other.line})`, other, {
      hint: `if it was set up anew, compare ${shown.fingerprint} there, then ${forget}`,
    })
  }
  return false
}

/** Fails with E_VERIFY where only a certificate authority is known: it vouches for certificates, which ssh2 cannot read. */
export function unlessAuthority(name: string, shown: HostKey, known: readonly KnownKey[]): void {
  const authority = known.find(({ marker }) => marker === 'cert-authority')
  if (!authority) return
  throw refusal(`${name} is known by a certificate authority only (line ${authority.line})`, authority, {
    hint: `add the machine's plain key, ${shown.type} ${shown.fingerprint}, to known_hosts as well`,
  })
}

function refusal(message: string, { file }: KnownKey, details: { hint: string }): FleetsieError {
  return new FleetsieError('E_VERIFY', message, { file, ...details })
}
