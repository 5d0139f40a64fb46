/** The answers of the forced command, as a device reads them. */

export type Answer =
  /** The ten lines, in the documented order. */
  | { kind: 'Ok'; lines: readonly string[] }
  /** Another device has this OTP: go on with the one of this `id_in_fleet`. */
  | { kind: 'Try'; id: number }
  /** Another device has this OTP, and nothing is left to try. */
  | { kind: 'Full' }
  /** No such OTP here. */
  | { kind: 'Bad' }
  | { kind: 'Error'; message: string }

/** How the message of an `Error` begins that may be gone when the device asks again. */
export const later = 'try again later: '

/** The answer as it is printed, with its last newline. A field never takes more than its one line. */
export function answerText(answer: Answer): string {
  const lines = [answer.kind, ...rest(answer)]
  return lines.map((line) => `${line.replace(/\r?\n/g, ',')}\n`).join('')
}

function rest(answer: Answer): readonly string[] {
  switch (answer.kind) {
    case 'Ok':
      return answer.lines
    case 'Try':
      return [String(answer.id)]
    case 'Error':
      return [answer.message]
    case 'Full':
    case 'Bad':
      return []
  }
}
