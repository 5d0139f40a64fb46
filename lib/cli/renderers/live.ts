/** The live view of a terminal: results scroll by, running stages stand below with rate and time left. */
import { styleText } from 'node:util'
import { createLogUpdate } from 'log-update'
import type { BuildEvent, CardProgress, StageAction } from '../../engine/events.ts'
import { cardRow } from './card-lines.ts'
import { linesOf } from './lines.ts'
import type { Renderer } from './renderer.ts'
import { RunningStages } from './running.ts'

const waiting = 'watching     (Ctrl-C ends)'
const frameMs = 100
const colours: Record<StageAction, 'green' | 'cyan' | 'dim'> = {
  built: 'green',
  applied: 'green',
  substituted: 'cyan',
  cached: 'dim',
  unchanged: 'dim',
}

interface Streams {
  stdout: NodeJS.WriteStream
  stderr: NodeJS.WriteStream
}

/** `stages`: how many there are in all, where that is known. */
export function liveRenderer(streams: Streams, multi: boolean, stages?: number): Renderer {
  const update = createLogUpdate(streams.stdout)
  const running = new RunningStages(multi)
  const cards = new Map<string, CardProgress>()
  const busy = (): boolean => running.size > 0 || cards.size > 0
  // What a watch shows while it waits.
  let idle = ''
  const draw = (): void => {
    const columns = streams.stdout.columns ?? 80
    const rows = running.rows(columns, stages)
    update([...rows, ...byName(cards).map((card) => cardRow(card, columns))].join('\n') || idle)
  }
  const timer = setInterval(() => {
    if (busy()) draw()
  }, frameMs)
  timer.unref()

  const emit = (event: BuildEvent): void => {
    running.hear(event)
    if (event.type === 'card-progress') cards.set(event.card, event)
    else if (event.type === 'card' || event.type === 'card-failed') cards.delete(event.card)
    if (event.type === 'ready') idle = styleText('dim', waiting, { stream: streams.stdout })
    const lines = linesOf(event, multi)
    if (lines.length > 0) {
      update.clear()
      for (const line of lines) {
        const stream = streams[line.stream]
        stream.write(`${colour(event, line.text, stream)}\n`)
      }
    }
    // Progress is drawn by the timer: a stage may report far more often than an eye can follow.
    if (event.type === 'progress' || event.type === 'card-progress') return
    if (busy() || idle) draw()
    else update.clear()
  }
  return {
    emit,
    close: () => {
      clearInterval(timer)
      update.clear()
      update.done()
    },
  }
}

/** The same place for each, whichever begins first. */
function byName(cards: ReadonlyMap<string, CardProgress>): CardProgress[] {
  return [...cards.values()].sort((a, b) => (a.card < b.card ? -1 : 1))
}

function colour(event: BuildEvent, text: string, stream: NodeJS.WriteStream): string {
  if (event.type === 'stage') return styleText(colours[event.action], text, { stream })
  if (event.type === 'card' || event.type === 'summary') return styleText('green', text, { stream })
  if (event.type === 'failed' || event.type === 'card-failed' || event.type === 'error')
    return styleText('red', text, { stream })
  if (event.type === 'warning') return styleText('yellow', text, { stream })
  return text
}
