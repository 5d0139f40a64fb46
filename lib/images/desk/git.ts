/** Asks git about overlays/, as the user whose repository it is: what root writes there, that user could not change. */
import type { Run } from '../../engine/process.ts'
import type { Caller } from '../caller.ts'

export interface GitPlace {
  run: Run
  caller: Caller | undefined
  cwd: string
}

// The folder may belong to another user than root, and no hook of it may run as root.
const settings = ['-c', 'safe.directory=*', '-c', 'core.fsmonitor=false', '-c', 'core.hooksPath=/dev/null']
const environment = { GIT_CONFIG_NOSYSTEM: '1', GIT_OPTIONAL_LOCKS: '0' }

/** Runs git as the caller, whatever the repository's own settings would run; fails with E_STAGE on other exit codes than `okCodes`. */
export function git({ run, caller, cwd }: GitPlace, args: readonly string[], okCodes = [0], input = '') {
  const asUser = caller ? ['setpriv', `--reuid=${caller.uid}`, `--regid=${caller.gid}`, '--clear-groups'] : []
  const [command, ...rest] = [...asUser, 'git', ...settings, ...args]
  return run(command!, rest, { cwd, env: environment, okCodes, input, maxOutput: 512 << 20 })
}

/** Whether the folder is in a work tree. */
export async function isUnderGit(place: GitPlace): Promise<boolean> {
  const { exitCode, stdout } = await git(place, ['rev-parse', '--is-inside-work-tree'], [0, 128])
  return exitCode === 0 && stdout.toString().trim() === 'true'
}

/** Those of `paths` that git's rules leave out, and that it does not track all the same. */
export async function ignored(place: GitPlace, paths: readonly string[]): Promise<string[]> {
  const input = paths.map((path) => `./${path}\0`).join('')
  // 1: it ignores none of them.
  const { stdout } = await git(place, ['check-ignore', '-z', '--stdin'], [0, 1], input)
  return zeroEnded(stdout).map((path) => path.replace(/^\.\//, ''))
}

/** Makes git track files whatever its rules say: the content comes with the next commit. */
export async function trackAnyway(place: GitPlace, paths: readonly string[]): Promise<void> {
  const input = paths.map((path) => `${path}\0`).join('')
  const add = ['add', '--intent-to-add', '--force', '--pathspec-from-file=-', '--pathspec-file-nul']
  await git(place, ['--literal-pathspecs', ...add], [0], input)
}

/** The parts of an output that -z ends with a NUL each. */
export function zeroEnded(output: Buffer): string[] {
  return output.toString().split('\0').slice(0, -1)
}
