/** `srv` as a manager runs it against the rig's server: in its network, and where it asks, on a terminal. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { shortNames } from '../../lib/cli/short-names.ts'
import type { BuildEvent } from '../../lib/engine/events.ts'
import { removeTree } from '../../lib/engine/store/remove.ts'
import type { Architecture } from '../../lib/fleet/bundle/listing.ts'
import type { FleetServer } from './fleet-server.ts'
import { type Ended, events, program } from './npm-project.ts'
import { copyCode } from './scratch.ts'
import { withServerClosure } from './server-closure.ts'

export interface Ran extends Ended {
  events: BuildEvent[]
  /** What stood on the terminal, where there was one. */
  screen: string
  ms: number
}

interface How {
  /** Asked for each event as it comes, with --json. The program is killed when it is true. */
  killAfter?: (event: BuildEvent) => boolean
  /** Asked every 2 ms: for moments that no event tells. */
  killWhen?: () => boolean
  /** Default: srv. */
  verb?: string
  /** Where the manager is. */
  cwd?: string
}

/** The password that the tests give to fleetsie. */
export const fleetsiePassword = 'battery staple'

/** The program where nobody edits it meanwhile, with a store that may be shared by all test files of a run. */
export class SrvProgram {
  private readonly folder = mkdtempSync(join(tmpdir(), 'fleetsie-srv-'))
  private readonly store: string

  private constructor() {
    const shared = process.env['FLEETSIE_TEST_SHARED']
    this.store = join(shared ?? this.folder, 'store')
  }

  static async make(): Promise<SrvProgram> {
    const made = new SrvProgram()
    await copyCode(join(made.folder, 'code'))
    for (const name of shortNames.keys()) {
      symlinkSync(join(made.folder, 'code/lib/cli/bin.ts'), join(made.folder, name))
    }
    // In the network of a server there is no npm: its closure has to be in the store before.
    await withServerClosure(process.arch as Architecture, async () => {}, made.store)
    return made
  }

  remove(): Promise<void> {
    return removeTree(this.folder)
  }

  /** Without a terminal. */
  async run(server: FleetServer, args: readonly string[], how: How = {}): Promise<Ran> {
    const { killAfter, killWhen, verb, cwd = '/' } = how
    // What it leaves when it is killed goes with this program.
    const env = killAfter || killWhen ? { ...this.env, TMPDIR: this.folder } : this.env
    const [command, rest] = server.enter(['setsid', '-w', ...this.command(args, verb)], { env })
    const started = performance.now()
    const child = spawn(command, rest, { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
    const ended: Ended = { code: null, stdout: '', stderr: '' }
    let line = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      ended.stdout += text
      line += text
      const whole = line.slice(0, line.lastIndexOf('\n') + 1)
      line = line.slice(whole.length)
      if (killAfter && events(whole).some(killAfter)) child.kill('SIGKILL')
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      ended.stderr += text
    })
    const timer = killWhen && setInterval(() => killWhen() && child.kill('SIGKILL'), 2)
    const [code] = (await once(child, 'close')) as [number | null]
    clearInterval(timer)
    return { ...ended, code, events: events(ended.stdout), screen: '', ms: performance.now() - started }
  }

  /** `build` of a pipeline.mts with this text, which may import from ./code/. */
  async build(server: FleetServer, pipeline: string): Promise<Ended> {
    const file = join(this.folder, 'pipeline.mts')
    writeFileSync(file, pipeline)
    const argv = ['setsid', '-w', process.execPath, '--import', this.loader, file, 'build']
    const [command, rest] = server.enter(argv, { env: this.env })
    return program(command, rest, { cwd: this.folder })
  }

  /** On a terminal, where it is told what it asks for. */
  async ask(server: FleetServer, args: readonly string[]): Promise<Ran> {
    const out = join(this.folder, 'stdout')
    const words = this.command(args).map((word) => `'${word}'`)
    const line = `${words.join(' ')} >'${out}'`
    const [command, rest] = server.enter(['script', '-qefc', line, '/dev/null'], { env: this.env })
    const started = performance.now()
    const child = spawn(command, rest, { cwd: '/', stdio: ['pipe', 'pipe', 'inherit'] })
    let screen = ''
    let answered = 0
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      screen += text
      const asked = screen.slice(answered)
      const answer = /for sudo: $/.test(asked)
        ? server.password
        : /New password for .*: $/.test(asked)
          ? fleetsiePassword
          : undefined
      if (answer === undefined) return
      answered = screen.length
      child.stdin.write(`${answer}\r`)
    })
    const [code] = (await once(child, 'close')) as [number | null]
    const stdout = readFileSync(out, 'utf8')
    rmSync(out)
    return { code, stdout, stderr: '', screen, events: events(stdout), ms: performance.now() - started }
  }

  private get loader(): string {
    return pathToFileURL(join(this.folder, 'code/node_modules/tsx/dist/loader.mjs')).href
  }

  get env(): Record<string, string> {
    return { FLEETSIE_STORE: this.store }
  }

  /** What runs a verb: by its own command where it has one, as documented. */
  command(args: readonly string[], verb = 'srv'): string[] {
    const [short] = [...shortNames].find(([, its]) => its === verb) ?? []
    const program = short === undefined ? ['code/lib/cli/bin.ts', verb] : [short]
    return [
      process.execPath,
      '--import',
      this.loader,
      join(this.folder, program[0]!),
      ...program.slice(1),
      ...args,
    ]
  }
}

/** Every file of the server that srv could touch, with its time, owner and inode. */
export async function snapshot(server: FleetServer): Promise<string> {
  const folders = ['/etc', '/home', '/opt', '/root', '/usr', '/var/lib', '/run/fleetsie']
  const format = '%p %y %T@ %C@ %i %u %g %m %s %l\\n'
  // A login leaves traces of its own.
  const own = ['-path', '*/sudo/*', '-prune', '-o', '-path', '/var/lib/apt/*', '-prune', '-o']
  const { stdout } = await server.run(['find', ...folders, ...own, '-printf', format])
  return stdout
}
