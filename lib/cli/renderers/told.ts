/** Hands events to the process that watches, which shows them. */
import type { BuildEvent } from '../../engine/events.ts'
import { due } from './due.ts'
import type { Renderer } from './renderer.ts'

export function toldRenderer(tell: (event: BuildEvent) => void): Renderer {
  const isDue = due()
  return {
    emit: (event) => {
      if (event.type !== 'progress' || isDue(event)) tell(event)
    },
    close: () => {},
  }
}
