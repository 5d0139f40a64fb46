/** The bytes' way to a machine: TCP, or what a ProxyCommand of the user's gives. */
import { connect as connectTcp, type Socket } from 'node:net'
import { Duplex, type Readable, type Writable } from 'node:stream'
import { type Run, runner } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import type { SshConfig } from './config.ts'
import { type Environment, homeOf } from './openssh.ts'

/** Fails with E_IO: no such name, refused, unreachable. */
export function dialTcp(
  name: string,
  { host, port, family }: SshConfig,
  signal: AbortSignal,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ host, port, family, noDelay: true })
    const stop = (): void => void socket.destroy(signal.reason)
    signal.addEventListener('abort', stop, { once: true })
    if (signal.aborted) stop()
    socket.once('error', (error) => {
      signal.removeEventListener('abort', stop)
      reject(signal.aborted ? signal.reason : unreachable(name, host, port, error))
    })
    socket.once('connect', () => {
      signal.removeEventListener('abort', stop)
      socket.removeAllListeners('error')
      resolve(socket)
    })
  })
}

function unreachable(name: string, host: string, port: number, error: NodeJS.ErrnoException): FleetsieError {
  // Every address of the name was tried, and each has its own error.
  const first = error instanceof AggregateError ? (error.errors[0] as NodeJS.ErrnoException) : error
  const code = error.code ?? first.code ?? ''
  const [what, hint] = reasons[code] ?? [
    `cannot be reached: ${first.message}`,
    'look whether the network is up',
  ]
  return new FleetsieError('E_IO', `${name}: ${host} port ${port} ${what}`, { hint, cause: error })
}

const reasons: Record<string, [what: string, hint: string]> = {
  ENOTFOUND: ['is a name that nobody knows', 'check the name, or use the address'],
  EAI_AGAIN: ['cannot be looked up: no name server answers', 'look whether the network is up'],
  ECONNREFUSED: ['refuses connections', 'look whether sshd runs there, and at that port'],
  ECONNRESET: ['closes the connection at once', 'once more: a busy sshd does so (MaxStartups)'],
  EHOSTUNREACH: ['has no route to it', 'look whether the machine is on, and in this network'],
  ENETUNREACH: ['has no route to it', 'look whether the network is up'],
  ETIMEDOUT: ['does not answer', 'look whether the machine is on, and whether a firewall lets ssh through'],
}

/** The stdin and stdout of a ProxyCommand as one stream. It ends with the program, and the program with it. */
export function dialProxy(command: string, config: SshConfig, env: Environment): ProxyStream {
  const tokens: Record<string, string> = {
    ...{ h: config.host, p: String(config.port), r: config.user, n: config.host, '%': '%' },
  }
  // The user's own shell line, as ssh_config(5) has it; what is put in was checked to be names.
  const line = command.replace(/%(.)/g, (whole, token: string) => tokens[token] ?? whole)
  const ender = new AbortController()
  const passed = Object.entries(env).filter((pair): pair is [string, string] => pair[1] !== undefined)
  const run = runner({
    home: '/',
    signal: ender.signal,
    env: { ...Object.fromEntries(passed), HOME: homeOf(env) },
  })
  return new ProxyStream(run, `exec ${line}`, ender)
}

class ProxyStream extends Duplex {
  private readonly ender: AbortController
  private readonly stdin: Promise<Writable>
  private wanted: () => void = () => {}

  constructor(run: Run, line: string, ender: AbortController) {
    super({ allowHalfOpen: false })
    this.ender = ender
    let started: (stdin: Writable) => void = () => {}
    this.stdin = new Promise((resolve) => {
      started = resolve
    })
    run('sh', ['-c', line], {
      cwd: '/',
      input: async (stdin) => started(stdin),
      output: (stdout) => this.receive(stdout),
    }).then(
      () => this.push(null),
      (error: unknown) => this.destroy(this.destroyed ? undefined : (error as Error)),
    )
  }

  private async receive(stdout: Readable): Promise<void> {
    for await (const chunk of stdout as AsyncIterable<Buffer>) {
      if (this.push(chunk)) continue
      await new Promise<void>((resolve) => {
        this.wanted = resolve
      })
    }
  }

  override _read(): void {
    this.wanted()
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    // How the program ended says more than that its pipe broke.
    this.stdin.then((stdin) => stdin.write(chunk, () => done()))
  }

  override _final(done: () => void): void {
    this.stdin.then((stdin) => stdin.end(() => done()))
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.ender.abort()
    this.wanted()
    done(error)
  }
}
