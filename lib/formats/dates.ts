/** Dates in text formats, from seconds since 1970, always in UTC. */
import { FleetsieError } from '../errors.ts'

/** 9999-12-31T23:59:59Z: the last second that ISO 8601 says with four digits. */
const maxEpoch = 253_402_300_799

/** `2026-08-17T17:59:24Z`. Fails with E_INPUT outside the years 1970 to 9999. */
export function isoTime(epoch: number): string {
  if (!Number.isInteger(epoch) || epoch < 0 || epoch > maxEpoch) {
    throw new FleetsieError('E_INPUT', `${epoch} is no time between 1970 and 9999 in seconds`, {
      hint: 'set SOURCE_DATE_EPOCH to a whole number of seconds',
    })
  }
  return new Date(epoch * 1000).toISOString().replace('.000Z', 'Z')
}

/** `2026-08-17`. */
export function isoDate(epoch: number): string {
  return isoTime(epoch).slice(0, 10)
}
