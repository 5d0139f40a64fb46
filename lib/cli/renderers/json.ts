/** One event a line on stdout, for programs. */
import type { Renderer } from './renderer.ts'

export function jsonRenderer(stdout: NodeJS.WritableStream): Renderer {
  return {
    emit: (event) => {
      stdout.write(`${JSON.stringify(event)}\n`)
    },
    close: () => {},
  }
}
