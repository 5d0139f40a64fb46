/** The live view of a terminal: results scroll by, running stages stand below with rate and time left. */
import { styleText } from 'node:util'
import { createLogUpdate } from 'log-update'
import type { BuildEvent, CardProgress, StageAction } from '../../engine/events.ts'
import { formatBytes, formatDuration } from '../format.ts'
import { bar } from './bar.ts'
import { cardRow } from './card-lines.ts'
import { linesOf } from './lines.ts'
import type { Renderer } from './renderer.ts'

interface Running {
  name: string
  because: string
  since: number
  done: number
  total: number | undefined
  unit: 'bytes' | 'files'
}

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

export function liveRenderer(streams: Streams, multi: boolean): Renderer {
  const update = createLogUpdate(streams.stdout)
  const running = new Map<string, Running>()
  const cards = new Map<string, CardProgress>()
  const busy = (): boolean => running.size > 0 || cards.size > 0
  // What a watch shows while it waits.
  let idle = ''
  const draw = (): void => {
    const rows = [...running.values()].map((stage) => runningLine(stage))
    const columns = streams.stdout.columns ?? 80
    update([...rows, ...[...cards.values()].map((card) => cardRow(card, columns))].join('\n') || idle)
  }
  const timer = setInterval(() => {
    if (busy()) draw()
  }, frameMs)
  timer.unref()

  const emit = (event: BuildEvent): void => {
    track(running, event, multi)
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

function track(running: Map<string, Running>, event: BuildEvent, multi: boolean): void {
  // A newer edit has ended what was running; a verb that answers has read what it needs.
  if (event.type === 'changed' || event.type === 'ready' || event.type === 'answer') running.clear()
  if (!('stage' in event) || event.target === undefined || event.stage === undefined) return
  const id = `${event.target}/${event.stage}`
  const name = multi ? id : event.stage
  const known = running.get(id)
  if (event.type === 'start') {
    const fresh = { done: 0, total: undefined, unit: 'bytes' } as const
    running.set(id, { name, because: event.because, since: performance.now(), ...fresh })
  } else if (event.type === 'progress' && known) {
    known.done = event.done
    known.total = event.total
    known.unit = event.unit
  } else if (event.type === 'stage' || event.type === 'failed') {
    running.delete(id)
  }
}

/** `decompress  ███████░░░░░░░  1.1 GiB of 1.7 GiB  410 MiB/s  2 s left` */
function runningLine(stage: Running): string {
  const elapsed = performance.now() - stage.since
  const name = stage.name.padEnd(12)
  if (stage.done === 0) return `${name} ${formatDuration(elapsed).padStart(8)}  because ${stage.because}`
  const amount = (value: number): string => (stage.unit === 'bytes' ? formatBytes(value) : `${value} files`)
  const rate = stage.done / (elapsed / 1000)
  if (stage.total === undefined || stage.total === 0) {
    return `${name} ${formatDuration(elapsed).padStart(8)}  ${amount(stage.done)}  ${amount(Math.round(rate))}/s`
  }
  const left = formatDuration(((stage.total - stage.done) / rate) * 1000)
  return `${name} ${bar(stage.done / stage.total)}  ${amount(stage.done)} of ${amount(stage.total)}  ${amount(Math.round(rate))}/s  ${left} left`
}

function colour(event: BuildEvent, text: string, stream: NodeJS.WriteStream): string {
  if (event.type === 'stage') return styleText(colours[event.action], text, { stream })
  if (event.type === 'card') return styleText('green', text, { stream })
  if (event.type === 'failed' || event.type === 'card-failed' || event.type === 'error')
    return styleText('red', text, { stream })
  if (event.type === 'warning') return styleText('yellow', text, { stream })
  return text
}
