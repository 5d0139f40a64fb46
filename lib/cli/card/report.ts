/** How it went, card by card. */
import { toFleetsieError } from '../../errors.ts'
import type { WriteResult } from '../../images/cards/write.ts'
import type { Session } from '../session.ts'

/** Tells of each card, then fails with the first failure. */
export function tellResults(session: Session, results: readonly WriteResult[]): void {
  const failures: Error[] = []
  for (const result of results) {
    if ('error' in result) {
      failures.push(result.error)
      tellFailure(session, result)
      continue
    }
    const { took, ms, ...written } = result.written
    const { comparing, writing, verifying } = ms
    session.emit({
      type: 'card',
      ...written,
      ms: Math.round(took),
      phases: {
        comparing: Math.round(comparing),
        writing: Math.round(writing),
        verifying: Math.round(verifying),
      },
    })
  }
  if (failures[0]) throw failures[0]
}

function tellFailure(session: Session, { card, error }: Extract<WriteResult, { error: Error }>): void {
  if (session.signal.aborted) {
    const message = `${card.name}: interrupted; the same command goes on where it stopped`
    session.emit({ type: 'note', message })
    return
  }
  const { code, message, hint } = toFleetsieError(error)
  session.emit({
    ...{ type: 'card-failed', card: card.name, code, message },
    ...(hint === undefined ? {} : { hint }),
  })
}
