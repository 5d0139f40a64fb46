/** A failure as an event. */
import type { BuildEvent } from '../engine/events.ts'
import type { FleetsieError } from '../errors.ts'

export type ErrorEvent = Extract<BuildEvent, { type: 'error' }>

export function errorEvent(failure: FleetsieError): ErrorEvent {
  return {
    type: 'error',
    code: failure.code,
    message: failure.code === 'E_BUG' && failure.stack ? failure.stack : failure.message,
    ...(failure.file === undefined ? {} : { file: failure.file }),
    ...(failure.hint === undefined ? {} : { hint: failure.hint }),
  }
}
