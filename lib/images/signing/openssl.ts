/** Judges detached CMS signatures by the program `openssl`, as a receiver would. node-forge is never asked. */
import { X509Certificate } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Run } from '../../engine/process.ts'

/** Files, by absolute names. */
interface Signed {
  content: string
  signature: string
  /** The certificates to trust, PEM. */
  ca: string
}

export type Judgement =
  /** `signer` is a certificate that `ca` vouches for. */
  | { signature: true; chain: true; signer: X509Certificate }
  /** The bytes are what the signer signed, but nobody vouches for the signer. */
  | { signature: true; chain: false; reason: string }
  | { signature: false; reason: string }

/** Checks signature, chain, validity and purpose. `tmp` is a folder for the signer's certificate. */
export async function judge(run: Run, { content, signature, ca }: Signed, tmp: string): Promise<Judgement> {
  const signerFile = join(tmp, 'signer.pem')
  const args = ['cms', '-verify', '-binary', '-inform', 'DER', '-in', signature, '-content', content]
  const attempt = (trust: string[]) =>
    run('openssl', [...args, ...trust, '-signer', signerFile, '-out', '/dev/null'], {
      // 0 verified, 1 usage, 2 unreadable input, 3 and 4 failed (openssl-cms(1)).
      okCodes: [0, 1, 2, 3, 4],
    })
  try {
    // Without -no-CApath and -no-CAstore whatever the system trusts would be trusted as well.
    const full = await attempt(['-CAfile', ca, '-no-CApath', '-no-CAstore', '-purpose', 'smimesign'])
    if (full.exitCode === 0) {
      const signers = certificatesOf(await readFile(signerFile, 'utf8'))
      // With several it would be unclear for whom the signature speaks.
      if (signers.length !== 1) {
        return { signature: false, reason: `${signers.length} signers, where one is expected` }
      }
      return { signature: true, chain: true, signer: signers[0]! }
    }
    const reason = reasonOf(full.stderr)
    const bare = await attempt(['-noverify'])
    return bare.exitCode === 0 ? { signature: true, chain: false, reason } : { signature: false, reason }
  } finally {
    await rm(signerFile, { force: true })
  }
}

function certificatesOf(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  return blocks.map((block) => new X509Certificate(block))
}

/** openssl's own words: `…:Verify error:certificate has expired`, or the reason field of its last error line. */
function reasonOf(stderr: string): string {
  const verify = /Verify error:\s*(.+)/.exec(stderr)
  if (verify?.[1]) return verify[1].trim()
  const reasons = [...stderr.matchAll(/error:[0-9A-F]+:[^:]*:[^:]*:([^:\n]+)/g)].map((match) =>
    match[1]!.trim(),
  )
  return reasons.at(-1) ?? (stderr.trim().split('\n').at(-1) || 'openssl gives no reason')
}
