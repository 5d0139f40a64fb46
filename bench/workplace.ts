/**
 * Where scenarios work: a copy of this checkout below the folder for temporary files, compiled, with a store and
 * keys of its own, so that nobody's results are used or replaced.
 */
import { execFileSync } from 'node:child_process'
import { cp, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { track } from './git.ts'
import type { Subject } from './measure.ts'

const here = dirname(import.meta.dirname)
/** Where packages come from: the only setting of the user's that is passed on. */
const mirror = 'FLEETSIE_DEBIAN_MIRROR'

export interface Workplace {
  root: string
  checkout: string
  /** The environment of all that is measured. */
  env: NodeJS.ProcessEnv
  remove(): Promise<void>
}

export async function makeWorkplace(): Promise<Workplace> {
  const root = await mkdtemp(join(tmpdir(), 'fleetsie-bench-'))
  const remove = (): Promise<void> => rm(root, { recursive: true, force: true })
  try {
    const checkout = join(root, 'checkout')
    const { NODE_OPTIONS: _, ...outer } = process.env
    const env = {
      ...Object.fromEntries(
        Object.entries(outer).filter(([name]) => name === mirror || !name.startsWith('FLEETSIE_')),
      ),
      PATH: `${dirname(process.execPath)}${delimiter}${process.env['PATH'] ?? ''}`,
      FLEETSIE_STORE: join(root, 'store'),
      XDG_CONFIG_HOME: join(root, 'config'),
      XDG_CACHE_HOME: join(root, 'cache'),
      // One view of the output for everybody who runs this.
      CI: '1',
    }
    const list = ['-C', here, 'ls-files', '-z', '--cached', '--others', '--exclude-standard', '--deduplicate']
    const files = execFileSync('git', list, { encoding: 'utf8', maxBuffer: 2 ** 26 }).split('\0')
    for (const name of files.filter((name) => name !== '' && !name.startsWith('bench/results/'))) {
      // A file that git knows may have been removed since.
      await cp(join(here, name), join(checkout, name), { verbatimSymlinks: true }).catch((error: Error) => {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      })
    }
    await symlink(join(here, 'node_modules'), join(checkout, 'node_modules'))
    track(checkout)
    compile(checkout, env)
    return { root, checkout, env, remove }
  } catch (error) {
    await remove()
    throw error
  }
}

/** @throws with what the compiler said */
function compile(cwd: string, env: NodeJS.ProcessEnv): void {
  try {
    execFileSync(process.execPath, ['scripts/compile.mjs'], { cwd, env, stdio: 'pipe', encoding: 'utf8' })
  } catch (error) {
    throw new Error(`this checkout does not compile:\n${(error as { stdout?: string }).stdout}`)
  }
}

/** The installed program, as npm's bin would start it. */
export function fleetsie({ checkout, env }: Workplace, cwd: string, ...args: string[]): Subject {
  return { command: process.execPath, args: [join(checkout, 'dist/lib/cli/bin.js'), ...args], cwd, env }
}
