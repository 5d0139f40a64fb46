/** A stage may report each block that it decodes: so many events help nobody. */
import type { BuildEvent } from '../../engine/events.ts'

const progressMs = 200

/** Answers whether an event is to be passed on: of progress, one for each stage or card in a while, and its last. */
export function due(now = () => performance.now(), everyMs = progressMs) {
  const told = new Map<string, number>()
  return (event: BuildEvent): boolean => {
    if (event.type !== 'progress' && event.type !== 'card-progress') return true
    const id = event.type === 'progress' ? `${event.target}/${event.stage}` : `${event.card} ${event.phase}`
    const last = told.get(id)
    if (last !== undefined && event.done !== event.total && now() - last < everyMs) return false
    told.set(id, now())
    return true
  }
}
