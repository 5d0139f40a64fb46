/**
 * Where scenarios work: a copy of this checkout below the folder for temporary files, compiled, with a store and
 * keys of its own, so that nobody's results are used or replaced.
 */
import { execFileSync } from 'node:child_process'
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
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
    execFileSync(process.execPath, ['scripts/compile.mjs'], { cwd: checkout, env, stdio: 'pipe' })
    return { root, checkout, env, remove }
  } catch (error) {
    await remove()
    throw error
  }
}

/** Makes a folder a git repository that tracks all of it: overlays hold what git tracks. */
export function track(folder: string): void {
  execFileSync('git', ['init', '--quiet'], { cwd: folder })
  execFileSync('git', ['add', '--all'], { cwd: folder })
}

/** The installed program, as npm's bin would start it. */
export function fleetsie({ checkout, env }: Workplace, cwd: string, ...args: string[]): Subject {
  return { command: process.execPath, args: [join(checkout, 'dist/lib/cli/bin.js'), ...args], cwd, env }
}

/**
 * A project of its own that imports the compiled package. Its pipeline has the target `table`, which ends after
 * `mount`, `customized`, where a script has run in the image, and `image`, all the way to the signed artifacts.
 */
export async function makeProject(at: Workplace, name: string, stock: string, os: string): Promise<string> {
  return writeProject(at, name, {
    'overlays/part_1/bench.txt': 'a file for the boot partition\n',
    'overlays/part_2/etc/motd': 'the first text\n',
    'customize.sh': 'echo customized > /etc/customized\n',
    'pipeline.mjs': `
import { customize, decompress, fetch, install, mount, overlay, pipeline, save, sign } from '${at.checkout}/dist/lib/index.js'
const stock = fetch({ file: ${JSON.stringify(stock)} })
const image = decompress({ from: stock })
const table = mount({ image })
const layers = [overlay({ from: 'overlays' }), install({ image, os: ${JSON.stringify(os)} })]
await pipeline({
  image: () => sign({ artifacts: save({ stock, image, table, layers, name: 'bench' }), out: 'out' }),
  table: () => table,
  customized: () => customize({ image, table, layers, script: 'customize.sh' }),
})
`,
  })
}

/** A project with the target `stock`: the image that the stage `debian` makes. */
export async function makeDebianProject(at: Workplace): Promise<string> {
  return writeProject(at, 'debian', {
    'pipeline.mjs': `
import { debian, pipeline } from '${at.checkout}/dist/lib/index.js'
await pipeline({ stock: () => debian({ lock: '${at.checkout}/debian.lock' }) })
`,
  })
}

async function writeProject(at: Workplace, name: string, files: Record<string, string>): Promise<string> {
  const folder = join(at.root, name)
  for (const [path, content] of Object.entries({ '.gitignore': 'out/\n', ...files })) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), content)
  }
  track(folder)
  return folder
}
