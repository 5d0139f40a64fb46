/** What to say when a card cannot be opened, read or written. */
import { FleetsieError } from '../../errors.ts'

const again = 'then give the same command again: it goes on where it stopped'
const gone = new Set(['ENODEV', 'ENXIO', 'ENOMEDIUM', 'ESHUTDOWN', 'ENOTCONN', 'ESTALE'])

/** `why` is what the system threw, or a reason in words; `at` the byte, where it is known. */
export function transferFailure(
  what: 'reading' | 'writing',
  path: string,
  at: number | undefined,
  why: unknown,
): FleetsieError {
  const code = (why as NodeJS.ErrnoException).code
  const reason = typeof why === 'string' ? why : (code ?? String(why))
  const place = at === undefined ? '' : ` at byte ${at}`
  return new FleetsieError('E_IO', `${what} ${path} failed${place}: ${reason}`, {
    file: path,
    hint: remedy(code),
    ...(typeof why === 'string' ? {} : { cause: why }),
  })
}

function remedy(code: string | undefined): string {
  if (code === 'ENOSPC' || code === 'EDQUOT') return `make room where the file lies, ${again}`
  if (code !== undefined && gone.has(code)) return `the device is gone: connect it again, ${again}`
  return `try another reader or cable, ${again}; a card that fails again is worn out`
}

export function openFailure(path: string, error: unknown): FleetsieError {
  const { code, syscall } = error as NodeJS.ErrnoException
  const details = { file: path, cause: error }
  switch (code) {
    case 'EBUSY':
      return new FleetsieError(
        'E_UNSAFE',
        `${path} is in use: it is mounted, or another program writes to it`,
        {
          ...details,
          hint: 'unmount it, or wait until the other one has ended',
        },
      )
    case 'ENOENT':
    case 'EISDIR':
    case 'ENOTDIR':
      return new FleetsieError('E_INPUT', `${path} is no device and no file`, details)
    case 'EACCES':
    case 'EPERM':
      return new FleetsieError('E_RIGHTS', `${path} may not be opened for writing`, {
        ...details,
        hint: 'call it by sudo, or join the group that owns the device',
      })
    case 'EROFS':
      return new FleetsieError('E_UNSAFE', `${path} is read-only`, {
        ...details,
        hint: "move the lock switch at the card's side",
      })
    case 'ENOMEDIUM':
    case 'ENXIO':
    case 'ENODEV':
      return new FleetsieError('E_IO', `there is no card in ${path}`, {
        ...details,
        hint: 'put the card in again',
      })
    default:
      return new FleetsieError(
        'E_IO',
        `${syscall ?? 'opening'} ${path} failed: ${code ?? String(error)}`,
        details,
      )
  }
}
