/** One event a line on stdout, for programs. */
import type { BuildEvent } from '../../engine/events.ts'
import type { Renderer } from './renderer.ts'

/** A stage may report each block that it decodes: so many lines help nobody. */
const progressMs = 200

export function jsonRenderer(stdout: NodeJS.WritableStream, now = () => performance.now()): Renderer {
  const told = new Map<string, number>()
  const due = (event: Extract<BuildEvent, { type: 'progress' }>): boolean => {
    const id = `${event.target}/${event.stage}`
    const last = told.get(id)
    if (last !== undefined && event.done !== event.total && now() - last < progressMs) return false
    told.set(id, now())
    return true
  }
  return {
    emit: (event) => {
      if (event.type === 'progress' && !due(event)) return
      stdout.write(`${JSON.stringify(event)}\n`)
    },
    close: () => {},
  }
}
