/** What git has to say about an overlay folder: which files it tracks, which it would, and which it leaves out. */

import type { Run } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import { utf8 } from '../../formats/tar/text.ts'

export interface GitList {
  /** Paths below the folder, without order. */
  tracked: Set<string>
  untracked: Set<string>
  /** Set where the filesystem keeps no exec bit (core.fileMode=false): tracked files that are programs. */
  programs: Set<string> | undefined
}

// Neither the user's configuration nor a hook of the repository may decide what is in an image.
const settings = ['-c', 'safe.directory=*', '-c', 'core.fsmonitor=false']
const environment = { GIT_CONFIG_NOSYSTEM: '1', GIT_CONFIG_GLOBAL: '/dev/null', GIT_OPTIONAL_LOCKS: '0' }

const git = (
  run: Run,
  folder: string,
  args: readonly string[],
  okCodes: readonly number[] = [0],
  input = '',
) =>
  run('git', [...settings, ...args], { cwd: folder, env: environment, okCodes, input, maxOutput: 512 << 20 })

/** Nothing outside a work tree. `names` are files and folders in `folder`. Fails with E_INPUT on a repository within. */
export async function listByGit(
  run: Run,
  folder: string,
  names: readonly string[],
): Promise<GitList | undefined> {
  const inside = await git(run, folder, ['rev-parse', '--is-inside-work-tree'], [0, 128])
  if (inside.exitCode !== 0) {
    if (inside.stderr.includes('not a git repository')) return undefined
    throw new FleetsieError('E_STAGE', `git: ${inside.stderr.trim()}`, { file: folder })
  }
  if (inside.stdout.toString().trim() !== 'true') return undefined
  const index = await git(run, folder, ['--literal-pathspecs', 'ls-files', '-z', '--stage', '--', ...names])
  const others = await git(run, folder, [
    '--literal-pathspecs',
    'ls-files',
    '-z',
    '--others',
    '--exclude-standard',
    '--',
    ...names,
  ])
  const fileMode = await git(run, folder, [
    'config',
    '--type=bool',
    '--default=true',
    '--get',
    'core.fileMode',
  ])

  const tracked = new Set<string>()
  const programs = new Set<string>()
  for (const record of records(index.stdout)) {
    const tab = record.indexOf(0x09)
    const mode = record.toString('latin1', 0, 6)
    const path = utf8(record.subarray(tab + 1), 'the name', folder)
    if (mode === '160000') throw nested(path, 'a git submodule')
    if (mode === '100755') programs.add(path)
    tracked.add(path)
  }
  const untracked = new Set<string>()
  for (const record of records(others.stdout)) {
    const path = utf8(record, 'the name', folder)
    if (path.endsWith('/')) throw nested(path.slice(0, -1), 'a git repository of its own')
    untracked.add(path)
  }
  return {
    tracked,
    untracked,
    programs: fileMode.stdout.toString().trim() === 'false' ? programs : undefined,
  }
}

/** Those of `paths` that git's ignore rules leave out. */
export async function ignoredByGit(run: Run, folder: string, paths: readonly string[]): Promise<Set<string>> {
  if (paths.length === 0) return new Set()
  const input = paths.map((path) => `./${path}\0`).join('')
  // Status 1 says that it ignores none of them.
  const { stdout } = await git(run, folder, ['check-ignore', '-z', '--stdin'], [0, 1], input)
  return new Set(records(stdout).map((record) => record.toString().replace(/^\.\//, '')))
}

export function nested(path: string, kind: string): FleetsieError {
  return new FleetsieError(
    'E_INPUT',
    `${JSON.stringify(path)} is ${kind}; what it holds is not tracked here`,
    {
      hint: 'copy its files into the overlay without the `.git` in it, or move it out of the overlay',
      file: path,
    },
  )
}

function records(output: Buffer): Buffer[] {
  const result: Buffer[] = []
  for (let start = 0; start < output.length; ) {
    const end = output.indexOf(0, start)
    result.push(output.subarray(start, end))
    start = end + 1
  }
  return result
}
