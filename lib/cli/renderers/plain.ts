/** One line for each result, for logs and terminals that cannot move the cursor. */
import { cardProgressLine } from './card-lines.ts'
import { due } from './due.ts'
import { linesOf } from './lines.ts'
import type { Renderer } from './renderer.ts'

/** Seldom enough for a log, often enough to see that a slow card lives. */
const cardMs = 10_000

interface Streams {
  stdout: NodeJS.WritableStream
  stderr: NodeJS.WritableStream
}

export function plainRenderer(streams: Streams, multi: boolean): Renderer {
  const isDue = due(() => performance.now(), cardMs)
  return {
    emit: (event) => {
      if (event.type === 'card-progress' && isDue(event)) streams.stdout.write(`${cardProgressLine(event)}\n`)
      for (const line of linesOf(event, multi)) streams[line.stream].write(`${line.text}\n`)
    },
    close: () => {},
  }
}
