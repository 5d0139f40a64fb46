/** How the page says results, times and counts. */
import type { RecordedStage } from '../../engine/store/types.ts'
import { formatDuration } from '../format.ts'

/** The class by which an action is coloured; the word itself is always there too. */
export function tone(action: RecordedStage['action'] | undefined): string {
  switch (action) {
    case 'built':
    case 'applied':
      return 'ran'
    case 'substituted':
      return 'got'
    case 'failed':
      return 'bad'
    case 'cached':
    case 'unchanged':
      return 'hit'
    case undefined:
      return 'none'
  }
}

/** `built in 2.2 s`, `cached`, `not run yet`. */
export function result(last: RecordedStage | undefined): string {
  if (!last) return 'not run yet'
  if (tone(last.action) === 'hit') return last.action
  return `${last.action} in ${formatDuration(last.ms)}`
}

/** Days and times are UTC: a page may be read elsewhere than where it was made. */
export function when(at: number): string {
  return `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')} UTC`
}

export function count(number: number, noun: string): string {
  return `${number.toLocaleString('en-US')} ${noun}${number === 1 ? '' : 's'}`
}
