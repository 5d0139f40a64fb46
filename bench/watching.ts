/** A running `fleetsie watch`, told of edits as an editor would: by the files it watches. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { BuildEvent } from '../lib/engine/events.ts'
import type { Sample, Subject } from './measure.ts'
import { peakOf } from './proc.ts'

export interface Watching {
  /** Makes an edit, and waits for the artifacts that come of it. */
  edit(make: () => Promise<void>): Promise<Sample>
  /** Bytes: the most that one of its lasting processes ever held; what a build starts and ends is not in it. */
  peak(): Promise<number | undefined>
  /** Ends it as Ctrl-C does. */
  end(): Promise<void>
}

/** Milliseconds. A build that takes longer has hung. */
const patience = 600_000

/** Starts it, and waits for the first build. */
export async function watching({ command, args, cwd, env }: Subject): Promise<Watching> {
  const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const closed = once(child, 'close')
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-4096)
  })
  let lines: string[] = []
  let first = true
  let told: ((error?: Error) => void) | undefined
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (!line.startsWith('{')) return
    lines.push(line)
    const event = JSON.parse(line) as BuildEvent
    // What an editor leaves behind on its way to a new file may come to nothing: the edit itself does not.
    if (event.type === 'ready' && (first || event.result === 'built')) told?.()
    if (event.type === 'failed' || event.type === 'error') told?.(new Error(event.message))
  })
  child.once('error', (error) => told?.(error))
  child.once('exit', (code, signal) =>
    told?.(new Error(`watch ended with ${code ?? signal}: ${stderr.trim().slice(-400)}`)),
  )

  async function artifacts(): Promise<void> {
    const late = setTimeout(() => told?.(new Error(`no artifacts within ${patience / 1000} s`)), patience)
    try {
      await new Promise<void>((resolve, reject) => {
        told = (error) => (error ? reject(error) : resolve())
      })
    } finally {
      clearTimeout(late)
      told = undefined
    }
  }
  async function end(): Promise<void> {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGINT')
    const hung = setTimeout(() => child.kill('SIGKILL'), 10_000)
    await closed
    clearTimeout(hung)
  }
  try {
    await artifacts()
    first = false
  } catch (error) {
    await end()
    throw error
  }
  return {
    async edit(make) {
      lines = []
      const made = artifacts()
      // From the write on: what finds it, what waits for more of it, and the build.
      const started = performance.now()
      await Promise.all([make(), made])
      return { wall: performance.now() - started, stdout: lines.join('\n') }
    },
    peak: () => peakOf(child.pid!),
    end,
  }
}
