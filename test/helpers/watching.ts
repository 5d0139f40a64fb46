/** A `watch` that runs, and what it tells: tests wait for its events and for nothing else. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import type { BuildEvent } from '../../lib/engine/events.ts'
import type { Scratch } from './scratch.ts'

type Ready = Extract<BuildEvent, { type: 'ready' }>

/** Milliseconds until a test gives up on an event. */
const patience = 300_000

export class Watching {
  readonly process: ChildProcess
  readonly closed: Promise<[number | null, NodeJS.Signals | null]>
  stderr = ''
  private readonly told: BuildEvent[] = []
  private seen = 0
  private wake: () => void = () => {}
  private over = false

  /** `by`: a program and its first arguments, to run it by. */
  constructor(
    scratch: Scratch,
    args: readonly string[],
    how: { by?: string[]; env?: Record<string, string> } = {},
  ) {
    const [command, rest] = scratch.command(['watch', '--json', ...args], how)
    this.process = spawn(command, rest, {
      cwd: scratch.project,
      env: scratch.env(how.env),
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    this.process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text
    })
    createInterface({ input: this.process.stdout! }).on('line', (line) => {
      this.told.push(JSON.parse(line) as BuildEvent)
      this.wake()
    })
    this.closed = once(this.process, 'close') as Promise<[number | null, NodeJS.Signals | null]>
    void this.closed.then(() => {
      this.over = true
      this.wake()
    })
  }

  /** The events that nobody has asked for yet, up to the first of which `wanted` is true. */
  async until(wanted: (event: BuildEvent) => boolean): Promise<BuildEvent[]> {
    const timer = setTimeout(() => {
      this.over = true
      this.wake()
    }, patience)
    try {
      for (let at = this.seen; ; at++) {
        while (at >= this.told.length) {
          if (this.over) throw new Error(`it never came:\n${this.stderr}\n${this.transcript()}`)
          await new Promise<void>((resolve) => {
            this.wake = resolve
          })
        }
        if (!wanted(this.told[at]!)) continue
        const events = this.told.slice(this.seen, at + 1)
        this.seen = at + 1
        return events
      }
    } finally {
      clearTimeout(timer)
    }
  }

  /** Up to the end of a build, and that. */
  async ready(result?: Ready['result']): Promise<{ ready: Ready; events: BuildEvent[]; stages: string[] }> {
    const events = await this.until(
      (event) => event.type === 'ready' && (result === undefined || event.result === result),
    )
    return { ready: events.at(-1) as Ready, events, stages: stagesOf(events) }
  }

  /** Ends it as its terminal would. */
  async interrupt(signal: NodeJS.Signals = 'SIGINT'): Promise<number | null> {
    this.process.kill(signal)
    return (await this.closed)[0]
  }

  private transcript(): string {
    return this.told.map((event) => JSON.stringify(event)).join('\n')
  }
}

/**
 * Writes a file of a project that is watched, all at once: between one that is emptied and what it gets, a machine with
 * other work to do may take its time, and then they are two edits.
 */
export async function edit({ folder, project }: Scratch, name: string, content: string): Promise<void> {
  const whole = join(folder, 'whole')
  const path = join(project, name)
  await mkdir(dirname(path), { recursive: true })
  await writeFile(whole, content)
  await rename(whole, path)
}

/** `stage action` of all that ended. */
export function stagesOf(events: readonly BuildEvent[]): string[] {
  return events.flatMap((event) => (event.type === 'stage' ? [`${event.stage} ${event.action}`] : []))
}
