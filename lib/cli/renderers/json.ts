/** One event a line on stdout, for programs. */
import { due } from './due.ts'
import type { Renderer } from './renderer.ts'

export function jsonRenderer(stdout: NodeJS.WritableStream, now = () => performance.now()): Renderer {
  const isDue = due(now)
  return {
    emit: (event) => {
      if (!isDue(event)) return
      stdout.write(`${JSON.stringify(event)}\n`)
    },
    close: () => {},
  }
}
