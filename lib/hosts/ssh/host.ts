/** A connected machine: programs on it, several at once, and ports behind it. */
import { type Duplex, Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client, ClientChannel } from 'ssh2'
import { FleetsieError } from '../../errors.ts'
import { endProgram, execute, openSession, type Session } from './execute.ts'
import { quoteCommand } from './quote.ts'
import { scriptCommand } from './script.ts'
import { Slots } from './slots.ts'
import { SudoGate, type SudoPassword } from './sudo.ts'
import type { Host, HostKey, RemoteOptions, RemoteResult } from './types.ts'

/** MaxSessions of sshd, unless its administrator has changed that. */
const maxSessions = 10
const closeMs = 2_000
/** How long sshd may take to bury programs that have ended, on a machine with other work to do. */
const lettingGoMs = 10_000

/** A connection that stands. At most ten programs run at once, as sshd has it (MaxSessions); the others wait. */
export class SshHost implements Host {
  readonly name: string
  readonly user: string
  readonly host: string
  readonly port: number
  readonly hostKey: HostKey
  private readonly client: Client
  private readonly password: SudoPassword
  private readonly slots = new Slots(maxSessions)
  private readonly over: Promise<void>
  private readonly running = new Set<Session>()
  private hasRun = false
  private broken: FleetsieError | undefined
  private readonly hangUp: () => Promise<void>

  /** `hangUp` closes what the connection goes through, whatever the other side does. */
  constructor(
    client: Client,
    about: Pick<Host, 'name' | 'user' | 'host' | 'port' | 'hostKey'>,
    password: SudoPassword,
    hangUp: () => Promise<void>,
  ) {
    const { name, user, host, port, hostKey } = about
    this.name = name
    this.user = user
    this.host = host
    this.port = port
    this.hostKey = hostKey
    this.client = client
    this.password = password
    this.hangUp = hangUp
    client.on('error', (error) => {
      this.broken ??= new FleetsieError('E_IO', `${name}: the connection broke: ${error.message}`, {
        cause: error,
      })
    })
    this.over = new Promise((resolve) => client.once('close', () => resolve()))
    this.over.then(() => {
      this.broken ??= new FleetsieError('E_IO', `${name}: the connection was closed from there`)
    })
  }

  async run(argv: readonly string[], how: RemoteOptions = {}): Promise<RemoteResult> {
    const gate = how.sudo ? new SudoGate(this.name, this.password) : undefined
    const command = quoteCommand(gate ? gate.wrap(argv) : argv)
    // It may break before anybody reads it; whoever reads it then hears that.
    if (how.stdin instanceof Readable) how.stdin.on('error', () => {})
    const label = `${argv[0]} on ${this.name}`
    const release = await this.slots.take()
    let session: Session
    try {
      if (how.signal?.aborted) throw new FleetsieError('E_INTERRUPTED', `${label} was interrupted`)
      session = await this.open(() => this.session(command))
    } catch (error) {
      release()
      throw error
    }
    this.running.add(session)
    this.hasRun = true
    session.closed.then(() => {
      this.running.delete(session)
      release()
    })
    return execute(session, { ...how, label, gate, broken: () => this.failure() })
  }

  async script(text: string, args: readonly string[], how: RemoteOptions = {}): Promise<RemoteResult> {
    const { argv, stdin } = scriptCommand(text, args, how.stdin)
    return this.run(argv, { ...how, stdin })
  }

  async forward(port: number, host = 'localhost'): Promise<Duplex> {
    const stream = await this.open(
      () =>
        new Promise<ClientChannel>((resolve, reject) => {
          this.client.forwardOut('127.0.0.1', 0, host, port, (error, channel) =>
            error ? reject(error) : resolve(channel),
          )
        }),
    )
    // As a socket does: whoever only reads would leave it open.
    stream.once('end', () => stream.end())
    return stream
  }

  async close(): Promise<void> {
    this.broken ??= new FleetsieError('E_IO', `${this.name}: the connection was closed`)
    for (const session of this.running) endProgram(session)
    this.client.end()
    let timer: NodeJS.Timeout | undefined
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, closeMs)
    })
    await Promise.race([this.over, patience])
    clearTimeout(timer)
    await this.hangUp()
  }

  /**
   * sshd may allow fewer sessions, or still hold some whose programs have ended: it lets go of one when it has buried that,
   * which may be after we have heard of its end.
   */
  private async session(command: string): Promise<Session> {
    const began = Date.now()
    for (let pause = 25; ; pause = Math.min(2 * pause, 1_000)) {
      try {
        return await openSession(this.client, command)
      } catch (error) {
        if (this.broken || !('reason' in (error as Error))) throw error
        const patience = this.hasRun ? lettingGoMs : 0
        if (this.running.size === 0 && Date.now() - began >= patience) throw error
        await Promise.race([sleep(pause), ...[...this.running].map(({ closed }) => closed)])
      }
    }
  }

  private async open<T>(work: () => Promise<T>): Promise<T> {
    if (this.broken) throw this.broken
    try {
      return await work()
    } catch (error) {
      if (this.broken) throw this.broken
      const { message } = error as Error
      throw new FleetsieError('E_IO', `${this.name} refuses a channel: ${message}`, { cause: error })
    }
  }

  private failure(): FleetsieError {
    return this.broken ?? new FleetsieError('E_IO', `${this.name} ended the program without a reason`)
  }
}
