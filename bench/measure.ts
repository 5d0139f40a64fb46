/**
 * One run of a program, measured from outside: wall clock by us, CPU and memory by the kernel's accounting of the
 * finished child, which GNU time prints. Both sides of a ratio pay for starting `time` (about 1 ms).
 */
import { execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { shellWord } from '../lib/formats/shell.ts'

/** A program to measure, and what to do before each run, which is not measured. */
export interface Subject {
  command: string
  args: readonly string[]
  cwd: string
  env: NodeJS.ProcessEnv
  /** Seconds after which it is ended and counts as failed. Default: none. */
  limit?: number
  /** `run` counts from 0, the run that warms up. */
  before?: (run: number) => Promise<void>
}

export interface Sample {
  /** Milliseconds from start to exit. */
  wall: number
  /** Milliseconds, user and system, of the program and all that it waited for. Absent without GNU time. */
  cpu?: number
  /** Bytes: the largest single process of those. */
  peak?: number
  /** Bytes that it and all that it waited for gave to files, as the kernel counts them. Absent without GNU time. */
  written?: number
  stdout: string
}

const gnuTime = '/usr/bin/time'
export const hasGnuTime = existsSync(gnuTime)
/** Of each output. A build with --json tells its progress as well. */
const kept = 16 * 1024 * 1024

/** Runs it once. Fails when the program does: a figure of a run that failed would say nothing. */
export async function measure({ command, args, cwd, env, limit }: Subject): Promise<Sample> {
  const folder = await mkdtemp(join(tmpdir(), 'fleetsie-bench-time-'))
  try {
    const facts = join(folder, 'facts')
    const timer = hasGnuTime ? [gnuTime, '--format=%U %S %M %O', `--output=${facts}`] : []
    // Ends the whole process group.
    const end = limit === undefined ? [] : ['timeout', '--kill-after=5', `${limit}`]
    const [program, ...rest] = [...timer, ...end, command, ...args]
    const { wall, stdout } = await timed(program!, rest, { cwd, env })
    if (!hasGnuTime) return { wall, stdout }
    const counted = (await readFile(facts, 'utf8')).trim().split(' ').map(Number)
    const [user = 0, system = 0, peak = 0, blocks = 0] = counted
    return { wall, cpu: (user + system) * 1000, peak: peak * 1024, written: blocks * 512, stdout }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function timed(
  program: string,
  args: readonly string[],
  options: { cwd: string; env: NodeJS.ProcessEnv },
): Promise<{ wall: number; stdout: string }> {
  return new Promise((resolve, reject) => {
    const started = performance.now()
    const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
    let wall = 0
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout = (stdout + text).slice(-kept)
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr = (stderr + text).slice(-kept)
    })
    child.once('error', reject)
    child.once('exit', () => {
      wall = performance.now() - started
    })
    child.once('close', (code, signal) => {
      if (code === 0) resolve({ wall, stdout })
      else
        reject(new Error(`${program} ended with ${code ?? signal}: ${(stderr + stdout).trim().slice(-600)}`))
    })
  })
}

/** Runs it `runs` times, after one run that is not counted, where `warmUp` asks for that. */
export async function repeat(subject: Subject, runs: number, warmUp = true): Promise<Sample[]> {
  if (warmUp) await once(subject, 0)
  const samples: Sample[] = []
  for (let run = 1; run <= runs; run++) samples.push(await once(subject, run))
  return samples
}

/** Runs both in turn, `runs` times, after one run each that is not counted. */
export async function inTurn(
  ours: Subject,
  peer: Subject,
  runs: number,
): Promise<{ ours: Sample[]; peer: Sample[] }> {
  const samples = { ours: [] as Sample[], peer: [] as Sample[] }
  for (let run = 0; run <= runs; run++) {
    const pair = { ours: await once(ours, run), peer: await once(peer, run) }
    if (run === 0) continue
    samples.ours.push(pair.ours)
    samples.peer.push(pair.peer)
  }
  return samples
}

async function once(subject: Subject, run: number): Promise<Sample> {
  await subject.before?.(run)
  await settle()
  return measure(subject)
}

/** Has the disk finish what was written before, so that nobody waits for what another one left. */
export async function settle(): Promise<void> {
  await promisify(execFile)('sync')
}

/** What a reader can type to repeat it, as a shell would take it. */
export function commandLine({ command, args }: Subject): string {
  return [command, ...args].map(shellWord).join(' ')
}
