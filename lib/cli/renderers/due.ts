/** A stage may report each block that it decodes: so many events help nobody. */
import type { BuildEvent } from '../../engine/events.ts'

const progressMs = 200

/** Answers whether a progress event is to be passed on: one for each stage in a while, and its last. */
export function due(now = () => performance.now()) {
  const told = new Map<string, number>()
  return (event: Extract<BuildEvent, { type: 'progress' }>): boolean => {
    const id = `${event.target}/${event.stage}`
    const last = told.get(id)
    if (last !== undefined && event.done !== event.total && now() - last < progressMs) return false
    told.set(id, now())
    return true
  }
}
