/** What git has to say about an overlay folder: which files it tracks, which it would, and which it leaves out. */

import type { Run } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import { utf8 } from '../../formats/tar/text.ts'

export interface GitList {
  /** Paths below the folder, without order. */
  tracked: Set<string>
  untracked: Set<string>
  /** Tracked files that are programs. It counts where the filesystem keeps no exec bit. */
  programs: Set<string>
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
  const list = ['ls-files', '-z', '-t', '--stage', '--others', '--exclude-standard', '--', ...names]
  const listed = await git(run, folder, ['--literal-pathspecs', ...list], [0, 128])
  if (listed.exitCode !== 0) {
    if (/not a git repository|must be run in a work tree/.test(listed.stderr)) return undefined
    throw new FleetsieError('E_STAGE', `git: ${listed.stderr.trim()}`, { file: folder })
  }
  return parseList(listed.stdout, folder)
}

/** Whether the work tree of `folder` keeps exec bits (core.fileMode). */
export async function keepsFileModes(run: Run, folder: string): Promise<boolean> {
  const { stdout } = await git(run, folder, [
    'config',
    '--type=bool',
    '--default=true',
    '--get',
    'core.fileMode',
  ])
  return stdout.toString().trim() !== 'false'
}

/** `H 100644 SHA 0<tab>PATH` for what git tracks, another letter for a conflict; `? PATH` for what it would track. */
function parseList(output: Buffer, folder: string): GitList {
  const tracked = new Set<string>()
  const programs = new Set<string>()
  const untracked = new Set<string>()
  for (const record of records(output)) {
    const name = record[0] === 0x3f ? 2 : record.indexOf(0x09) + 1
    const path = utf8(record.subarray(name), 'the name', folder)
    if (record[0] === 0x3f) {
      if (path.endsWith('/')) throw nested(path.slice(0, -1), 'a git repository of its own')
      untracked.add(path)
      continue
    }
    const mode = record.toString('latin1', 2, 8)
    if (mode === '160000') throw nested(path, 'a git submodule')
    if (mode === '100755') programs.add(path)
    tracked.add(path)
  }
  return { tracked, untracked, programs }
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
