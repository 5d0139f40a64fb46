/** A desk as a user has it: a folder, and `fleetsie_mod` and `fleetsie` in PATH, run by the lines that documents print. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readFile, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { removeTree } from '../../lib/engine/store/remove.ts'
import { checkout, type Ended, events, program, shellEnvironment } from './npm-project.ts'
import { copyCode } from './scratch.ts'

export class DeskRig {
  readonly folder: string
  readonly store: string
  /** A user and group without any right; undefined: whoever runs the test. */
  readonly user: number | undefined

  private constructor(folder: string, user: number | undefined) {
    this.folder = folder
    this.store = join(folder, 'store')
    this.user = user
  }

  static async make({ user, code = checkout }: { user?: number; code?: string } = {}): Promise<DeskRig> {
    const rig = new DeskRig(await mkdtemp(join(tmpdir(), 'fleetsie-desk-')), user)
    await chmod(rig.folder, 0o755)
    await mkdir(join(rig.folder, 'bin'))
    const loader = pathToFileURL(join(checkout, 'node_modules/tsx/dist/loader.mjs')).href
    const script = `#!/bin/sh\nexec '${process.execPath}' --import '${loader}' '${code}/lib/cli/bin.ts' "$@"\n`
    for (const name of ['fleetsie', 'fleetsie_mod']) {
      await writeFile(join(rig.folder, 'bin', name), script, { mode: 0o755 })
    }
    for (const name of ['store', 'home', 'desk']) await rig.makeFolder(name)
    return rig
  }

  async makeFolder(name: string): Promise<string> {
    const path = join(this.folder, name)
    await mkdir(path)
    if (this.user !== undefined) execFileSync('chown', [`${this.user}:${this.user}`, path])
    return path
  }

  at(...names: string[]): string {
    return join(this.folder, ...names)
  }

  get env(): NodeJS.ProcessEnv {
    return shellEnvironment({
      PATH: `${this.at('bin')}:${process.env['PATH']}`,
      FLEETSIE_STORE: this.store,
      XDG_CONFIG_HOME: this.at('home'),
      XDG_CACHE_HOME: this.at('home'),
      HOME: this.at('home'),
      GIT_AUTHOR_NAME: 'desk',
      GIT_AUTHOR_EMAIL: 'desk@example.org',
      GIT_COMMITTER_NAME: 'desk',
      GIT_COMMITTER_EMAIL: 'desk@example.org',
    })
  }

  /** Program and arguments of a line for a shell, as this rig's user. */
  command(line: string): [string, string[]] {
    const shell = ['sh', '-c', line]
    if (this.user === undefined) return ['sh', shell.slice(1)]
    return ['setpriv', [`--reuid=${this.user}`, `--regid=${this.user}`, '--clear-groups', ...shell]]
  }

  /** Runs a line as a user types it, in the folder `desk` unless another is given. */
  type(line: string, folder = 'desk'): Promise<Ended> {
    const [command, args] = this.command(line)
    return program(command, args, { cwd: this.at(folder), env: this.env })
  }

  /** The same; the test fails when the line does. Answers stdout. */
  async works(line: string, folder = 'desk'): Promise<string> {
    const ended = await this.type(line, folder)
    assert.equal(ended.code, 0, `${line}\n${ended.stdout}${ended.stderr}`)
    return ended.stdout
  }

  /** The line has to fail like this. */
  async fails(line: string, code: number, message: RegExp, folder = 'desk'): Promise<void> {
    const ended = await this.type(line, folder)
    assert.equal(ended.code, code, `${line}\n${ended.stdout}${ended.stderr}`)
    assert.match(ended.stderr, message)
  }

  /** What stages did in a line with --json: `save built`. */
  async stages(line: string, folder = 'desk'): Promise<string[]> {
    const told = events(await this.works(`${line} --json`, folder))
    return told.flatMap((event) => (event.type === 'stage' ? [`${event.stage} ${event.action}`] : []))
  }

  text(...names: string[]): Promise<string> {
    return readFile(this.at(...names), 'utf8')
  }

  /** What is mounted below the rig. */
  async mounts(): Promise<string[]> {
    const lines = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n')
    return lines.map((line) => line.split(' ')[4] ?? '').filter((path) => path.startsWith(`${this.folder}/`))
  }

  /** Unmounts what a failed test left, then removes all. */
  async remove(): Promise<void> {
    for (const mount of (await this.mounts()).reverse()) {
      execFileSync('sh', ['-c', 'umount "$1" || fusermount3 -u "$1"', 'sh', mount], { stdio: 'pipe' })
    }
    if (existsSync(this.folder)) await removeTree(this.folder)
  }
}

/** The code where nobody edits it meanwhile, readable for everybody. */
export async function deskCode(): Promise<{ code: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'fleetsie-desk-code-'))
  await chmod(folder, 0o755)
  await copyCode(join(folder, 'code'))
  return { code: join(folder, 'code'), remove: () => removeTree(folder) }
}

/** Asks debugfs about the second partition of a disk. */
export function insideOf(disk: string): (request: string) => string {
  const ask = (...args: [string, ...string[]]): string =>
    execFileSync(args[0], args.slice(1), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim()
  const { partitiontable } = JSON.parse(ask('sfdisk', '--json', disk))
  const offset = partitiontable.partitions[1].start * 512
  return (request) => ask('debugfs', '-R', request, `${disk}?offset=${offset}`)
}

/** Makes the rig's folder `project` a project with two targets: of its overlays alone, and with `install` as well. */
export async function pipelineOf(rig: DeskRig, code: string, stock: string): Promise<void> {
  await symlink(join(code, 'node_modules'), rig.at('project/node_modules'))
  await writeFile(rig.at('project/package.json'), '{ "type": "module" }')
  await writeFile(
    rig.at('project/pipeline.ts'),
    `import { decompress, fetch, install, mount, overlay, pipeline, save, sign } from ${JSON.stringify(join(code, 'lib/index.ts'))}
const target = (out: string, more: boolean) => () => {
  const stock = fetch({ file: ${JSON.stringify(stock)} })
  const image = decompress({ from: stock })
  const layers = [overlay({ from: 'overlays' }), ...(more ? [install({ image, os: 'Debian' })] : [])]
  return sign({ artifacts: save({ stock, image, table: mount({ image }), layers, name: 'debian' }), out })
}
await pipeline({ overlays: target('overlays', false), both: target('both', true) })
`,
  )
}
