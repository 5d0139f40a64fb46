/** The Debian packages that this program calls, from scripts/requirements.json, which the set-up scripts read as well. */
import { accessSync, constants, existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { FleetsieError } from '../errors.ts'

/**
 * always: every build. customize, foreign, debian: only for that stage (foreign: for an image of another architecture).
 * sync: for `watch --sync`. desk: for `mount` without root. boot: for `boot`.
 * compile: to compile better-sqlite3. test, bench: only to test this program, or to run beside it.
 */
export type Use =
  | 'always'
  | 'customize'
  | 'foreign'
  | 'debian'
  | 'sync'
  | 'desk'
  | 'boot'
  | 'compile'
  | 'test'
  | 'bench'

export interface Requirement {
  package: string
  /** Programs of the package that are called. */
  tools: readonly string[]
  /** Absolute paths of other files of the package that are read. */
  files?: readonly string[]
  when: Use
  /** Installing it opens a port: set-up leaves that to the user where services run. */
  service?: boolean
  why: string
}

/** The list, read from this package. */
export function requirements(): Requirement[] {
  const file = packageFile('scripts/requirements.json')
  return JSON.parse(readFileSync(file, 'utf8')) as Requirement[]
}

/** Which of a requirement's programs and files are missing. `path` is searched as PATH is, then the sbin folders. */
export function missingParts(need: Requirement, path: string): string[] {
  const folders = `${path}:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin`.split(':')
  const tools = need.tools.filter((tool) => !folders.some((folder) => isProgram(join(folder, tool))))
  return [...tools, ...(need.files ?? []).filter((file) => !existsSync(file))]
}

/** The command that installs these packages on Debian and its like. */
export function installCommand(packages: readonly string[], isRoot: boolean): string {
  return `${isRoot ? '' : 'sudo '}apt-get install -y --no-install-recommends ${packages.join(' ')}`
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return statSync(file).isFile()
  } catch {
    return false
  }
}

/** A file of this package: its root lies two folders above this source, three above what is compiled from it. */
function packageFile(name: string): string {
  for (let at = dirname(fileURLToPath(import.meta.url)); at !== dirname(at); at = dirname(at)) {
    if (existsSync(join(at, 'package.json'))) return join(at, name)
  }
  throw new FleetsieError('E_BUG', `${name} is not in this package`)
}
