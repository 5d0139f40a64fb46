/** One program on the far side: its stdin fed with back-pressure, its output kept within limits, its end told apart. */
import { constants } from 'node:os'
import { Readable } from 'node:stream'
import type { Client, ClientChannel } from 'ssh2'
import { FleetsieError } from '../../errors.ts'
import { type SudoGate, sudoSilenceMs } from './sudo.ts'
import type { RemoteOptions, RemoteResult } from './types.ts'

const defaultLimit = 16 * 1024 * 1024
const stderrKept = 64 * 1024

interface Execution extends RemoteOptions {
  /** What the program is called in messages. */
  label: string
  gate: SudoGate | undefined
  /** Why the connection broke, if it did. */
  broken: () => FleetsieError
}

interface Exit {
  code: number | null
  signal: string | undefined
}

/** A program that has been started. */
export interface Session {
  channel: ClientChannel
  /** Set before it is closed, unless the connection broke. */
  exit: Exit | undefined
  /** How it ends is no answer any more. */
  unwanted: boolean
  /** When the other side has closed the channel as well. */
  closed: Promise<void>
}

/** Opens a session and starts `command` in it. Rejects with what ssh2 says when the other side opens none. */
export function openSession(client: Client, command: string): Promise<Session> {
  return new Promise((resolve, reject) => {
    client.exec(command, (error, channel) => {
      if (error) {
        reject(error)
        return
      }
      // At once: one packet may hold all of a program's life.
      const closed = new Promise<void>((done) => channel.once('close', () => done()))
      const session: Session = { channel, exit: undefined, unwanted: false, closed }
      channel.once('exit', (code: number | null, signal?: string) => {
        session.exit = { code, signal }
      })
      // ssh2 reports through the client what breaks a channel.
      channel.on('error', () => {})
      resolve(session)
    })
  })
}

/** Fails with E_STAGE (too much output), E_TIMEOUT, E_INTERRUPTED, E_RIGHTS (sudo), E_IO (the connection broke). */
export async function execute(session: Session, how: Execution): Promise<RemoteResult> {
  const { label, gate, signal, limit = defaultLimit } = how
  const { channel, closed } = session
  let stop: (reason: unknown) => void = () => {}
  const stopped = new Promise<never>((_, reject) => {
    stop = (reason) => {
      reject(reason)
      endProgram(session)
    }
  })
  stopped.catch(() => {})
  const onAbort = (): void => stop(new FleetsieError('E_INTERRUPTED', `${label} was interrupted`))
  signal?.addEventListener('abort', onAbort, { once: true })
  let timer: NodeJS.Timeout | undefined
  const start = (): void => {
    if (how.timeout === undefined) return
    const late = new FleetsieError('E_TIMEOUT', `${label} was ended after ${how.timeout} ms`)
    timer = setTimeout(() => stop(late), how.timeout)
  }

  const work = async (): Promise<RemoteResult> => {
    let opened: (runs: boolean) => void = () => {}
    const running = new Promise<boolean>((resolve) => {
      opened = resolve
    })
    const stdout = collect(channel, limit, label)
    const stderr = listen(channel, gate, () => {
      start()
      opened(true)
    }).finally(() => opened(false))
    const fed = running.then((runs) => (runs ? feed(channel, how.stdin, closed) : undefined))
    const [kept, said] = await Promise.all([stdout, stderr, fed, closed])
    if (!session.exit || session.unwanted) throw how.broken()
    if (gate && !gate.open) throw gate.refusal()
    return { ...ended(session.exit), stdout: kept, stderr: said }
  }
  try {
    if (signal?.aborted) onAbort()
    return await Promise.race([
      stopped,
      work().catch((error: unknown) => {
        stop(error)
        throw error
      }),
    ])
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
  }
}

/** Ends the program's process group, where sshd does that; its pipes are gone either way. */
export function endProgram(session: Session): void {
  const { channel } = session
  session.unwanted = true
  // ssh2's own signal() sends nothing once stdin has ended.
  const { _client, outgoing } = channel as unknown as Internals
  if (outgoing.state === 'open' || outgoing.state === 'eof') _client._protocol.signal(outgoing.id, 'TERM')
  channel.close()
  // With output that nobody reads any more it would never count as closed, and keep its slot.
  for (const stream of [channel, channel.stderr]) stream.removeAllListeners('readable').resume()
}

interface Internals {
  _client: { _protocol: { signal(channel: number, name: string): void } }
  outgoing: { id: number; state: string }
}

async function collect(stdout: Readable, limit: number, label: string): Promise<Buffer> {
  const kept: Buffer[] = []
  let size = 0
  for await (const chunk of stdout as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > limit) throw new FleetsieError('E_STAGE', `${label} printed more than ${limit} bytes`)
    kept.push(chunk)
  }
  return Buffer.concat(kept, size)
}

/** Reads stderr to its end, and talks with sudo until the program runs. */
async function listen(channel: ClientChannel, gate: SudoGate | undefined, runs: () => void): Promise<string> {
  let kept = Buffer.alloc(0)
  const keep = (chunk: Buffer): void => {
    kept = Buffer.concat([kept, chunk])
    if (kept.length > stderrKept) kept = kept.subarray(-stderrKept)
  }
  let silence: NodeJS.Timeout | undefined
  let silent = false
  const patience = (): void => {
    clearTimeout(silence)
    silence = setTimeout(() => {
      silent = true
      channel.close()
    }, sudoSilenceMs)
  }
  if (gate) patience()
  else runs()
  try {
    for await (const chunk of channel.stderr as AsyncIterable<Buffer>) {
      if (!gate || gate.open) {
        keep(chunk)
        continue
      }
      clearTimeout(silence)
      const { password, rest } = await gate.hear(chunk.toString('latin1'))
      if (password !== undefined) channel.write(`${password}\n`)
      if (rest === undefined) {
        patience()
        continue
      }
      keep(Buffer.from(rest, 'latin1'))
      runs()
    }
  } finally {
    clearTimeout(silence)
  }
  if (gate && silent) throw gate.refusal()
  return kept.toString('utf8')
}

/** A program that ends early leaves the rest unread: that is no failure of ours. A source that fails is. */
async function feed(
  channel: ClientChannel,
  stdin: RemoteOptions['stdin'],
  closed: Promise<void>,
): Promise<void> {
  if (!(stdin instanceof Readable)) {
    if (stdin === undefined) channel.end()
    else channel.end(stdin)
    return
  }
  let over = false
  closed.then(() => {
    over = true
    stdin.destroy()
  })
  try {
    for await (const chunk of stdin as AsyncIterable<Buffer | string>) {
      if (over) return
      if (channel.write(chunk)) continue
      await Promise.race([new Promise((resolve) => channel.once('drain', resolve)), closed])
    }
  } catch (error) {
    if (over) return
    throw error
  }
  channel.end()
}

function ended(exit: Exit): {
  code: number
  killedBy?: string
} {
  if (exit.code !== null) return { code: exit.code }
  const name = exit.signal ?? 'SIGKILL'
  return { code: 128 + (constants.signals[name as NodeJS.Signals] ?? 0), killedBy: name }
}
