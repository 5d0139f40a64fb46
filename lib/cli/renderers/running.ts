/** What runs at the moment, as rows of the live view. */
import type { BuildEvent } from '../../engine/events.ts'
import { formatBytes, formatDuration, formatLeft } from '../format.ts'
import { bar } from './bar.ts'

interface Running {
  name: string
  because: string
  since: number
  total: number | undefined
  unit: 'bytes' | 'files'
  /** Of late, the oldest first: what a rate is told by. */
  samples: { at: number; done: number }[]
}

/** How far back a rate looks, and how often it is looked at, in milliseconds. */
const rateMs = 4000
const sampleMs = 200
/** Turned a step for each frame: a stage that cannot tell its progress is seen to be alive. */
const frames = '⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏'

export class RunningStages {
  private readonly stages = new Map<string, Running>()
  private readonly multi: boolean
  private readonly now: () => number
  private frame = 0
  private ended = 0

  /** `multi`: several targets are built, so that a stage is named with its own. */
  constructor(multi: boolean, now: () => number = () => performance.now()) {
    this.multi = multi
    this.now = now
  }

  get size(): number {
    return this.stages.size
  }

  hear(event: BuildEvent): void {
    // A newer edit has ended what was running; a verb that answers has read what it needs.
    if (event.type === 'changed' || event.type === 'ready' || event.type === 'answer') this.stages.clear()
    if (event.type === 'changed') this.ended = 0
    // Of a server, one thing at a time is changed.
    if (event.type === 'resource') this.stages.clear()
    if (!('stage' in event) || event.target === undefined || event.stage === undefined) return
    const id = `${event.target}/${event.stage}`
    if (event.type === 'start') {
      const name = this.multi ? id : event.stage
      const since = this.now()
      this.stages.set(id, {
        name,
        because: event.because,
        since,
        total: undefined,
        unit: 'bytes',
        samples: [],
      })
    } else if (event.type === 'progress') {
      const known = this.stages.get(id)
      if (known) progressed(known, event, this.now())
    } else if (event.type === 'stage' || event.type === 'failed') {
      this.stages.delete(id)
      this.ended++
    }
  }

  /** A row for each stage, none longer than `columns`; the last says how many of `all` stages have ended. */
  rows(columns: number, all: number | undefined): string[] {
    const frame = frames[this.frame++ % frames.length]!
    const rows = [...this.stages.values()].map((stage) => clip(`${frame} ${row(stage, this.now())}`, columns))
    if (all !== undefined && rows.length > 0)
      rows.push(clip(`  ${this.ended} of ${all} stages done`, columns))
    return rows
  }
}

function progressed(
  stage: Running,
  { done, total, unit }: Extract<BuildEvent, { type: 'progress' }>,
  at: number,
): void {
  stage.total = total
  stage.unit = unit
  const { samples } = stage
  const last = samples.at(-1)
  // The first one stays: it may tell of what an earlier run left.
  if (last && samples.length > 1 && at - samples.at(-2)!.at < sampleMs) samples.pop()
  samples.push({ at, done })
  while (samples.length > 2 && at - samples[1]!.at > rateMs) samples.shift()
}

/** `decompress   ███████░░░░░░░  1.1 GiB of 1.7 GiB  410 MiB/s  2 s left` */
function row(stage: Running, now: number): string {
  const { name, samples, total, because, since } = stage
  const [first, last] = [samples[0], samples.at(-1)]
  const start = `${name.padEnd(12)} `
  const time = formatDuration(now - since).padStart(8)
  if (!first || !last || last.done === 0) return `${start}${time}  because ${because}`
  const amount = (value: number): string =>
    stage.unit === 'bytes' ? formatBytes(value) : `${Math.round(value)} files`
  const passed = last === first ? now - since : last.at - first.at
  const rate = ((last === first ? last.done : last.done - first.done) / Math.max(1, passed)) * 1000
  const speed = `${amount(Math.round(rate))}/s`
  if (!total) return `${start}${time}  ${amount(last.done)}  ${speed}`
  // What comes after the last byte, a check for instance, takes its time too.
  if (last.done >= total) return `${start}${bar(1)}  ${amount(total)}  finishing, ${time.trim()} so far`
  const left = rate > 0 ? `${formatLeft(((total - last.done) / rate) * 1000)} left` : 'waiting'
  return `${start}${bar(last.done / total)}  ${amount(last.done)} of ${amount(total)}  ${speed}  ${left}`
}

/** A row that wraps would leave lines behind when it is drawn again. */
function clip(text: string, columns: number): string {
  const characters = [...text]
  return characters.length < columns ? text : `${characters.slice(0, Math.max(1, columns - 2)).join('')}…`
}
