/** `verify`: checks an artifact's signature, chain, sums and provenance. */
import { FleetsieError } from '../../errors.ts'
import { verifyArtifact } from '../../images/verify.ts'
import type { Session } from '../session.ts'
import { temporaryRun } from '../temporary-run.ts'

export async function verify(
  session: Session,
  file: string,
  options: { json?: boolean; ca?: string },
): Promise<void> {
  await session.show({ json: options.json })
  const checks = await temporaryRun(session.signal, (run) =>
    verifyArtifact(file, { run, ...(options.ca === undefined ? {} : { ca: options.ca }) }),
  )
  for (const check of checks) {
    const text = `${check.ok ? 'ok    ' : 'FAILED'}  ${check.name}: ${check.detail}`
    session.emit({ type: 'answer', text, data: check })
  }
  const failed = checks.filter((check) => !check.ok)
  if (failed.length > 0) {
    const names = failed.map((check) => check.name).join(', ')
    throw new FleetsieError('E_VERIFY', `does not hold: ${names}`, {
      file,
      hint: 'do not use this file; get it again from whoever built it',
    })
  }
}
