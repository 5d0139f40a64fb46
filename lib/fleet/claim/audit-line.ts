/** What the server's log says of a claim. Neither OTPs nor keys are in it. */
import type { Caller, Outcome } from './claim.ts'

/** One line of printable characters. `wrong`: how many passwords of this disk were wrong by now. */
export function auditLine(
  { answer, claimed }: Outcome,
  caller: Caller,
  hwid: string | undefined,
  wrong?: number,
): string {
  const who = `fleet=${caller.fleet} lot=${caller.lot ?? '-'} hwid=${hwid ?? '-'} ip=${caller.ip ?? '-'}`
  const rest = (): string => {
    if (claimed) return ` ${claimed.hostname}${claimed.fresh ? '' : ' again'}`
    if (wrong !== undefined) return ` ${wrong} wrong`
    if (answer.kind === 'Try') return ` ${answer.id}`
    return answer.kind === 'Error' ? ` ${answer.message}` : ''
  }
  return `${who} answer=${answer.kind}${rest()}`.replace(/[^ -~]/g, '?')
}
