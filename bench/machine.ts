/** What figures depend on besides the code: machine, kernel, programs, commit. */
import { execFileSync } from 'node:child_process'
import { cpus, loadavg, release, totalmem } from 'node:os'

export interface Machine {
  processor: string
  processors: number
  /** GiB. */
  memory: number
  kernel: string
  node: string
  /** Name → version, or `absent`. */
  tools: Record<string, string>
  commit: string
  /** Files differ from the commit. */
  changed: boolean
  /** Day of the commit. */
  date: string
  /** Mean number of busy processes over the last minute. */
  load: number
}

const tools: Record<string, readonly string[]> = {
  xz: ['--version'],
  debugfs: ['-V'],
  mcopy: ['--version'],
  git: ['--version'],
  openssl: ['version'],
}

export function machine(checkout: string): Machine {
  return {
    processor: cpus()[0]?.model.trim() || process.arch,
    processors: cpus().length,
    memory: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.versions.node,
    tools: Object.fromEntries(
      Object.entries(tools).map(([tool, args]) => [
        tool,
        // Some print it to stderr.
        /\d+(?:\.\d+)+\w*/.exec(ask('sh', ['-c', `"$@" 2>&1`, 'sh', tool, ...args]))?.[0] ?? 'absent',
      ]),
    ),
    commit: ask('git', ['-C', checkout, 'rev-parse', '--short=12', 'HEAD']) || 'unknown',
    changed: ask('git', ['-C', checkout, 'status', '--porcelain', '--untracked-files=no']) !== '',
    date: ask('git', ['-C', checkout, 'log', '-1', '--format=%cs']) || 'unknown',
    load: loadavg()[0]!,
  }
}

function ask(program: string, args: readonly string[]): string {
  try {
    return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return ''
  }
}
