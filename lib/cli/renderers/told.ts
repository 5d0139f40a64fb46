/** Hands events to the process that watches, which shows them. */
import type { BuildEvent } from '../../engine/events.ts'
import { due } from './due.ts'
import type { Renderer } from './renderer.ts'

export function toldRenderer(tell: (event: BuildEvent) => void): Renderer {
  const isDue = due()
  return {
    emit: (event) => {
      // A terminal's Ctrl-C goes to both processes, and one of them says so.
      if (event.type === 'error' && event.code === 'E_INTERRUPTED') return
      if (isDue(event)) tell(event)
    },
    close: () => {},
  }
}
