/** `verify`: checks an artifact's signature, chain, sums and provenance. */
import { verificationError, verifyArtifact } from '../../images/signing/verify.ts'
import type { Session } from '../session.ts'
import { temporaryRun } from '../temporary-run.ts'

export async function verify(
  session: Session,
  file: string,
  options: { json?: boolean; ca?: string },
): Promise<void> {
  await session.show({ json: options.json })
  const { signal } = session
  const ca = options.ca === undefined ? {} : { ca: options.ca }
  const verification = await temporaryRun(signal, (run, tmp) =>
    verifyArtifact(file, { run, tmp, signal, ...ca }),
  )
  for (const check of verification.checks) {
    const text = `${check.ok ? 'ok    ' : 'FAILED'}  ${check.name}: ${check.detail}`
    session.emit({ type: 'answer', text, data: check })
  }
  for (const message of verification.remarks) session.emit({ type: 'note', message })
  const failure = verificationError(verification)
  if (failure) throw failure
}
