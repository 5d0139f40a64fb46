/** Listens to what a build tells, to remember when each stage ran. */
import type { BuildEvent, Emit } from './events.ts'
import type { RecordedBuild, RecordedStage } from './store/types.ts'

/** Characters of a reason that are kept. */
const longest = 300

export class BuildRecorder {
  private readonly begun = { at: Date.now(), clock: performance.now() }
  private readonly running = new Map<string, number>()
  private readonly targets = new Map<string, RecordedStage[]>()

  /** `emit`, heard by this recorder. */
  listening(emit: Emit): Emit {
    return (event) => {
      this.hear(event)
      emit(event)
    }
  }

  /** What a target's stages did so far; undefined: nothing. */
  of(target: string): RecordedBuild | undefined {
    const stages = this.targets.get(target)
    return stages && { at: this.begun.at, ms: Math.max(...stages.map(({ start, ms }) => start + ms)), stages }
  }

  private hear(event: BuildEvent): void {
    if (event.type !== 'start' && event.type !== 'stage' && event.type !== 'failed') return
    const { target, stage } = event
    const id = `${target}/${stage}`
    if (event.type === 'start') {
      this.running.set(id, this.now())
      return
    }
    const end = this.now()
    const ms = event.type === 'stage' ? event.ms : end - (this.running.get(id) ?? end)
    const because = event.type === 'stage' ? event.because : event.message.split('\n', 1)[0]!
    const stages = this.targets.get(target) ?? []
    this.targets.set(target, stages)
    stages.push({
      stage,
      action: event.type === 'stage' ? event.action : 'failed',
      because: because.length > longest ? `${because.slice(0, longest)}…` : because,
      start: Math.max(0, end - ms),
      ms,
    })
  }

  private now(): number {
    return Math.round(performance.now() - this.begun.clock)
  }
}
