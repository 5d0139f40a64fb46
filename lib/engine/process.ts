/** Child processes: argument arrays only, in a process group of their own, so that nothing outlives a build. */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import type { Readable, Writable } from 'node:stream'
import { FleetsieError } from '../errors.ts'

export interface RunOptions {
  cwd?: string
  /** Added to the pinned environment. */
  env?: Record<string, string>
  /** Bytes for stdin, or what feeds it. Nothing: stdin is empty. */
  input?: string | Buffer | ((stdin: Writable) => Promise<void>)
  /** Takes stdout as it comes; without it at most `maxOutput` bytes are kept. */
  output?: (stdout: Readable) => Promise<void>
  /** An open file that stdout goes to directly, faster than through this process. */
  outputFd?: number
  /** Limit for stdout kept in memory, bytes. Default 64 MiB. */
  maxOutput?: number
  /** Exit codes that are no failure. Default: 0. */
  okCodes?: readonly number[]
  /** Milliseconds until the whole process group is ended. */
  timeout?: number
}

export interface RunResult {
  stdout: Buffer
  /** The last 64 KiB. */
  stderr: string
  exitCode: number
}

/** Runs a program to its end. Fails with E_TOOL, E_STAGE, E_TIMEOUT or E_INTERRUPTED. */
export type Run = (command: string, args: readonly string[], options?: RunOptions) => Promise<RunResult>

const stderrKept = 64 * 1024
const graceMs = 5_000
const live = new Set<number>()

/** What every child sees, whatever the user's shell holds: the same locale, time zone and search path everywhere. */
export function pinnedEnvironment(home: string): Record<string, string> {
  const path = process.env['PATH'] ?? ''
  return {
    PATH: `${path}:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin`,
    HOME: home,
    LC_ALL: 'C.UTF-8',
    TZ: 'UTC',
  }
}

/** Ends every child that is still alive, with its whole process group. For exit handlers. */
export function killAll(signal: NodeJS.Signals = 'SIGKILL'): void {
  for (const pid of live) killGroup(pid, signal)
}

function killGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal)
  } catch {
    // It has ended already.
  }
}

/** Makes a `Run` bound to a work folder, a signal and a place for stderr lines. */
export function runner(bound: {
  home: string
  signal?: AbortSignal
  log?: (text: string) => void
  env?: Record<string, string>
}): Run {
  return (command, args, options = {}) => runOnce(command, args, options, bound)
}

async function runOnce(
  command: string,
  args: readonly string[],
  options: RunOptions,
  bound: { home: string; signal?: AbortSignal; log?: (text: string) => void; env?: Record<string, string> },
): Promise<RunResult> {
  if (bound.signal?.aborted) throw interrupted(command)
  const cwd = options.cwd ?? bound.home
  const child = spawn(command, [...args], {
    cwd,
    env: { ...pinnedEnvironment(bound.home), ...bound.env, ...options.env },
    // A group of its own: a script's grandchildren are ended with it.
    detached: true,
    stdio: [options.input === undefined ? 'ignore' : 'pipe', options.outputFd ?? 'pipe', 'pipe'],
  })
  const pid = child.pid
  if (pid !== undefined) live.add(pid)
  let timedOut = false
  let force: NodeJS.Timeout | undefined
  const stop = (): void => {
    if (pid === undefined) return
    killGroup(pid, 'SIGTERM')
    force ??= setTimeout(() => {
      killGroup(pid, 'SIGKILL')
      // Who left the group may hold the other ends of these: nobody waits for that.
      child.stdout?.destroy()
      child.stderr?.destroy()
    }, graceMs)
  }
  bound.signal?.addEventListener('abort', stop, { once: true })
  const timer = options.timeout
    ? setTimeout(() => {
        timedOut = true
        stop()
      }, options.timeout)
    : undefined

  let stderr = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-stderrKept)
    bound.log?.(text)
  })
  const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve({ code, signal }))
  })
  // Whoever awaits `work` first must not leave this one's rejection unhandled.
  exited.catch(() => {})
  try {
    const kept: Buffer[] = []
    const work: Promise<void>[] = []
    if (child.stdout)
      work.push(options.output ? options.output(child.stdout) : collect(child.stdout, kept, options, command))
    if (child.stdin) work.push(feed(child.stdin, options.input!))
    const all = Promise.all(work).catch(async (error: unknown) => {
      stop()
      // A broken pipe says less than the exit code of whoever broke it.
      const end = await exited
      if (end.code !== 0 && (error as NodeJS.ErrnoException).code === 'EPIPE') return
      throw error
    })
    const [{ code, signal }] = await Promise.all([exited, all])
    if (bound.signal?.aborted) throw interrupted(command)
    if (timedOut) throw tooLong(command, options)
    if (code === null || !(options.okCodes ?? [0]).includes(code)) {
      if (/No space left on device|Disk quota exceeded/.test(stderr))
        throw diskFull(failure(command, args, code, signal, stderr))
      throw new FleetsieError('E_STAGE', failure(command, args, code, signal, stderr))
    }
    return { stdout: Buffer.concat(kept), stderr, exitCode: code }
  } catch (error) {
    // Streams that were cut off by our own hand have nothing to say.
    if (bound.signal?.aborted) throw interrupted(command)
    if (timedOut) throw tooLong(command, options)
    if (
      (error as NodeJS.ErrnoException).code === 'ENOENT' &&
      (error as NodeJS.ErrnoException).path === command
    ) {
      // Node blames the program for a missing folder as well.
      if (!existsSync(cwd)) {
        throw new FleetsieError('E_STAGE', `${command} cannot run in a folder that does not exist`, {
          file: cwd,
          cause: error,
        })
      }
      throw new FleetsieError('E_TOOL', `the program \`${command}\` is not installed`, {
        hint: '`fleetsie doctor` prints the command that installs it',
        cause: error,
      })
    }
    throw error
  } finally {
    clearTimeout(timer)
    clearTimeout(force)
    bound.signal?.removeEventListener('abort', stop)
    if (pid !== undefined) {
      live.delete(pid)
      // What the program left behind in its group must not outlive it.
      killGroup(pid, 'SIGKILL')
    }
  }
}

async function collect(
  stdout: Readable,
  kept: Buffer[],
  options: RunOptions,
  command: string,
): Promise<void> {
  const limit = options.maxOutput ?? 64 * 1024 * 1024
  let size = 0
  for await (const chunk of stdout as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > limit) throw new FleetsieError('E_STAGE', `${command} printed more than ${limit} bytes`)
    kept.push(chunk)
  }
}

async function feed(stdin: Writable, input: NonNullable<RunOptions['input']>): Promise<void> {
  // The exit code tells why a pipe broke.
  stdin.on('error', () => {})
  if (typeof input === 'function') {
    await input(stdin)
  } else {
    stdin.end(input)
  }
}

function failure(
  command: string,
  args: readonly string[],
  code: number | null,
  signal: NodeJS.Signals | null,
  stderr: string,
): string {
  const end = code === null ? `was ended by ${signal}` : `ended with exit code ${code}`
  const shown = args.map((arg) => (arg.length > 80 ? `${arg.slice(0, 77)}...` : arg)).join(' ')
  const lines = stderr.trimEnd().split('\n').slice(-8).join('\n')
  return `${command} ${shown} ${end}${lines ? `:\n${lines}` : ''}`
}

function tooLong(command: string, { timeout }: RunOptions): FleetsieError {
  return new FleetsieError('E_TIMEOUT', `${command} was ended after ${timeout} ms`)
}

function diskFull(message: string): FleetsieError {
  return new FleetsieError('E_IO', message, { hint: 'free some space, for example with `fleetsie gc`' })
}

function interrupted(command: string): FleetsieError {
  return new FleetsieError('E_INTERRUPTED', `${command} was interrupted`)
}
