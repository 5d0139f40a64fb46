/** How a fault in an .xz file is told: what it is and at which byte of the file. */
import { FleetsieError } from '../../errors.ts'

export function damaged(what: string, offset: number): FleetsieError {
  return new FleetsieError('E_DAMAGED', `${what} (byte ${offset})`, {
    hint: 'get the file again and compare its sha256 with the published one',
  })
}

export function unsupported(what: string, offset?: number): FleetsieError {
  return new FleetsieError('E_UNSUPPORTED', offset === undefined ? what : `${what} (byte ${offset})`)
}
