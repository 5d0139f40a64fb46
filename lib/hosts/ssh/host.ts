/** A connected machine: programs on it, several at once, and ports behind it. */
import type { Duplex } from 'node:stream'
import type { Client, ClientChannel } from 'ssh2'
import { FleetsieError } from '../../errors.ts'
import { execute, openSession, type Session } from './execute.ts'
import { quoteCommand } from './quote.ts'
import { scriptCommand } from './script.ts'
import { Slots } from './slots.ts'
import { SudoGate, type SudoPassword } from './sudo.ts'
import type { Host, HostKey, RemoteOptions, RemoteResult } from './types.ts'

/** MaxSessions of sshd, unless its administrator has changed that. */
const maxSessions = 10
const closeMs = 2_000

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
  private broken: FleetsieError | undefined
  private beyond: () => Promise<void>

  /** `beyond` closes what the connection goes through. */
  constructor(
    client: Client,
    about: Pick<Host, 'name' | 'user' | 'host' | 'port' | 'hostKey'>,
    password: SudoPassword,
    beyond: () => Promise<void>,
  ) {
    const { name, user, host, port, hostKey } = about
    this.name = name
    this.user = user
    this.host = host
    this.port = port
    this.hostKey = hostKey
    this.client = client
    this.password = password
    this.beyond = beyond
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
    const label = `${argv[0]} on ${this.name}`
    const release = await this.slots.take()
    let session: Session
    try {
      how.signal?.throwIfAborted()
      session = await this.open(() => openSession(this.client, command))
    } catch (error) {
      release()
      throw error
    }
    session.closed.then(release)
    return execute(session, { ...how, label, gate, broken: () => this.failure() })
  }

  async script(text: string, args: readonly string[], how: RemoteOptions = {}): Promise<RemoteResult> {
    const { argv, stdin } = scriptCommand(text, args, how.stdin)
    return this.run(argv, { ...how, stdin })
  }

  async forward(port: number, host = 'localhost'): Promise<Duplex> {
    return this.open(
      () =>
        new Promise<ClientChannel>((resolve, reject) => {
          this.client.forwardOut('127.0.0.1', 0, host, port, (error, channel) =>
            error ? reject(error) : resolve(channel),
          )
        }),
    )
  }

  async close(): Promise<void> {
    this.broken ??= new FleetsieError('E_IO', `${this.name}: the connection was closed`)
    this.client.end()
    const timer = setTimeout(() => this.client.destroy(), closeMs)
    await this.over
    clearTimeout(timer)
    await this.beyond()
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
