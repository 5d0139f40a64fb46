/** One line for each result, for logs and terminals that cannot move the cursor. */
import { linesOf } from './lines.ts'
import type { Renderer } from './renderer.ts'

interface Streams {
  stdout: NodeJS.WritableStream
  stderr: NodeJS.WritableStream
}

export function plainRenderer(streams: Streams, multi: boolean): Renderer {
  return {
    emit: (event) => {
      for (const line of linesOf(event, multi)) streams[line.stream].write(`${line.text}\n`)
    },
    close: () => {},
  }
}
