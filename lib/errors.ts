/**
 * Every way in which this program says no: one table of codes, one error class.
 * docs/errors.md is made from this table.
 */

/** Stable error codes with the exit code of the process and what the code means. */
export const errorCodes = {
  E_USAGE: { exit: 1, meaning: 'The command line is wrong.' },
  E_OPTION: { exit: 1, meaning: 'A stage was given an option of the wrong type or an unknown one.' },
  E_INPUT: { exit: 1, meaning: 'An input is valid in itself but cannot be used here.' },
  E_UNSAFE: { exit: 2, meaning: 'Refused because it could do harm; the hint says how to allow it.' },
  E_CANCELLED: { exit: 3, meaning: 'Cancelled by the user.' },
  E_STAGE: { exit: 4, meaning: 'A stage or a command that it ran failed; the log has the whole output.' },
  E_TIMEOUT: { exit: 4, meaning: 'A command took longer than its limit and was ended.' },
  E_TOO_SMALL: { exit: 4, meaning: 'The layers do not fit into the image.' },
  E_UNSUPPORTED: { exit: 4, meaning: 'An input of a kind that this program cannot handle.' },
  E_OFFLINE: { exit: 4, meaning: 'A download was needed, but --offline was given.' },
  E_DOWNLOAD: { exit: 4, meaning: 'A server refused a download or broke it off.' },
  E_VERIFY: { exit: 5, meaning: 'A signature, a sum or a chain of trust does not hold.' },
  E_DAMAGED: { exit: 6, meaning: 'An input file is damaged or is not of the kind that it should be.' },
  E_STORE: { exit: 6, meaning: 'The store is damaged; `store verify` says what and mends it.' },
  E_TOOL: { exit: 7, meaning: 'A program that is needed is not installed.' },
  E_RIGHTS: { exit: 7, meaning: 'A right is missing: root, a subuid range, a device.' },
  E_IO: { exit: 8, meaning: 'Reading or writing failed, or the disk is full.' },
  E_NOT_REPRODUCIBLE: { exit: 104, meaning: 'Two builds of one stage differ.' },
  E_INTERRUPTED: { exit: 130, meaning: 'Interrupted by a signal.' },
  E_BUG: { exit: 70, meaning: 'A fault in this program; please report it.' },
} as const

export type ErrorCode = keyof typeof errorCodes

interface ErrorDetails {
  /** What the user can do about it, as one sentence or command. */
  hint?: string
  /** The file that the message is about. */
  file?: string
  cause?: unknown
}

/** An expected failure: a stable code, one line that says what and where, and a remedy. */
export class FleetsieError extends Error {
  override readonly name = 'FleetsieError'
  readonly code: ErrorCode
  readonly hint: string | undefined
  file: string | undefined

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.hint = details.hint
    this.file = details.file
  }

  get exitCode(): number {
    return errorCodes[this.code].exit
  }

  /** Names the file in question, unless a deeper place has named it already. */
  inFile(file: string): this {
    this.file ??= file
    return this
  }
}

/** Runs `work`; a FleetsieError that leaves it names `file`, unless the user ended it: that is about no file. */
export async function inFile<T>(file: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof FleetsieError && error.code !== 'E_INTERRUPTED') error.inFile(file)
    throw error
  }
}

/** Makes a FleetsieError of whatever was thrown: system errors become E_IO, all else is a bug. */
export function toFleetsieError(error: unknown): FleetsieError {
  if (error instanceof FleetsieError) return error
  const system = error as NodeJS.ErrnoException
  if (system instanceof Error && typeof system.code === 'string' && typeof system.syscall === 'string') {
    const details: ErrorDetails = { cause: error }
    if (system.path !== undefined) details.file = system.path
    if (system.code === 'ENOSPC') details.hint = 'free some space, for example with `fleetsie gc`'
    return new FleetsieError('E_IO', `${system.syscall}: ${system.message}`, details)
  }
  const message = error instanceof Error ? error.message : String(error)
  return new FleetsieError('E_BUG', message, { cause: error })
}

/** For the default branch of an exhaustive switch: does not compile while a case is missing. */
export function unreachable(value: never): never {
  throw new FleetsieError('E_BUG', `unexpected value ${JSON.stringify(value)}`)
}
