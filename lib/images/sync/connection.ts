/** One ssh connection to a device, kept while pushes go over it. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { type RunOptions, type RunResult, runner } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import { type Probe, parseProbe, probeCommand, probeEnds } from './probe.ts'

/** ssh looks for agents, askpass and tickets by these; all else comes from the user's ssh_config. */
const passed = ['HOME', 'USER', 'LOGNAME', 'SHELL', 'SSH_AUTH_SOCK', 'KRB5CCNAME', 'XDG_RUNTIME_DIR']
/** What the probe may print, in bytes. */
const maxProbe = 4 * 1024 * 1024
/** Whoever runs ssh reads the code. */
const allCodes = Array.from({ length: 256 }, (_, code) => code)
const closeMs = 2_000
/** From the connection on; a Raspberry Pi that is busy takes a second. */
const answerMs = 30_000

export class Connection {
  readonly probe: Probe
  private readonly destination: string
  private readonly folder: string
  private readonly held: Held

  private constructor(destination: string, folder: string, held: Held, probe: Probe) {
    this.destination = destination
    this.folder = folder
    this.held = held
    this.probe = probe
  }

  /**
   * Connects and looks at the device. Fails with E_VERIFY (its host key is not the one that is known), E_RIGHTS (it lets
   * nobody in, or nobody become root), E_STAGE (it cannot be reached), E_TOOL, E_INTERRUPTED.
   */
  static async open(destination: string, signal: AbortSignal): Promise<Connection> {
    // A socket's path has room for 107 bytes, and ssh adds 17 to it.
    const base = Buffer.byteLength(tmpdir()) > 60 ? '/tmp' : tmpdir()
    const folder = await mkdtemp(join(base, 'fleetsie-ssh-'))
    const held = new Held(sshArguments(folder, destination, 'yes'), folder, signal)
    try {
      const probe = parseProbe(await held.answer)
      if (probe.rights === 'none') throw noRoot(destination, probe.user)
      return new Connection(destination, folder, held, probe)
    } catch (error) {
      await held.close()
      await rm(folder, { recursive: true, force: true })
      throw explained(destination, error)
    }
  }

  get alive(): boolean {
    return !this.held.ended
  }

  /** Runs a command there. Its exit code is in the answer. Fails with E_STAGE when the connection breaks. */
  async run(command: string, signal: AbortSignal, options: RunOptions): Promise<RunResult> {
    const run = runner({ home: this.folder, signal, env: environment() })
    const args = [...sshArguments(this.folder, this.destination, 'no'), command]
    const result = await run('ssh', args, { ...options, okCodes: allCodes })
    if (result.exitCode === 255) throw explained(this.destination, lastLines(result.stderr))
    return result
  }

  /** Ends the connection, and with it every session over it. */
  async close(): Promise<void> {
    await this.held.close()
    await rm(this.folder, { recursive: true, force: true })
  }
}

/** The session that looked at the device. It lasts as long as we hold its stdin, and the connection with it. */
class Held {
  /** What the probe said. */
  readonly answer: Promise<string>
  ended = false
  private readonly over: Promise<unknown>
  private readonly killer = new AbortController()
  private stdin: Writable | undefined

  constructor(args: readonly string[], folder: string, signal: AbortSignal) {
    let said = ''
    let timer: NodeJS.Timeout | undefined
    let told: (text: string) => void = () => {}
    const heard = new Promise<string>((resolve) => {
      told = resolve
    })
    const run = runner({ home: folder, signal: this.killer.signal, env: environment() })
    const session = run('ssh', [...args, probeCommand], {
      okCodes: allCodes,
      input: async (stdin) => {
        this.stdin = stdin
      },
      output: async (stdout: Readable) => {
        for await (const chunk of stdout as AsyncIterable<Buffer>) {
          if (said.length > maxProbe) continue
          said += chunk.toString('latin1')
          if (said.includes(`${probeEnds}\n`)) told(said)
        }
      },
    })
    const stop = (): void => this.killer.abort()
    signal.addEventListener('abort', stop, { once: true })
    if (signal.aborted) stop()
    this.answer = Promise.race([
      heard,
      session.then(({ stderr }) => Promise.reject(lastLines(stderr || said))),
      new Promise<never>((_, reject) => {
        timer = setTimeout(
          () => reject(new FleetsieError('E_TIMEOUT', silent, { hint: silentHint })),
          answerMs,
        )
      }),
    ]).finally(() => {
      clearTimeout(timer)
      signal.removeEventListener('abort', stop)
    })
    this.over = session
      .catch(() => {})
      .then(() => {
        this.ended = true
      })
  }

  async close(): Promise<void> {
    this.stdin?.end()
    // Nobody waits for a device that has gone.
    const timer = setTimeout(() => this.killer.abort(), closeMs)
    await this.over
    clearTimeout(timer)
  }
}

/**
 * Host keys are checked as the user has set it; a question that only a terminal could answer is a refusal. Forwardings
 * (a device that had the agent could log in elsewhere) and a RemoteCommand of the user's are for their own sessions.
 */
function sshArguments(folder: string, destination: string, master: 'yes' | 'no'): string[] {
  const socket = join(folder, 's').replaceAll('%', '%%')
  const options = ['BatchMode=yes', 'ConnectTimeout=10', 'ServerAliveInterval=5', 'ServerAliveCountMax=2']
  const forwardings = ['ClearAllForwardings=yes', 'ForwardAgent=no', 'ForwardX11=no']
  const quiet = [...forwardings, 'RemoteCommand=none', 'RequestTTY=no']
  const all = [...options, ...quiet, `ControlMaster=${master}`, 'ControlPersist=no']
  return ['-S', socket, ...all.flatMap((option) => ['-o', option]), '--', destination]
}

function environment(): Record<string, string> {
  const known = passed.map((name) => [name, process.env[name]] as const)
  return Object.fromEntries(known.filter((pair): pair is [string, string] => pair[1] !== undefined))
}

const silent = `the device was asked what it has, and has said nothing for ${answerMs / 1000} s`

const silentHint = 'log in by `ssh` and see what keeps it, or the shell that it starts, from answering'

const lastLines = (stderr: string): string => stderr.trim().split('\n').slice(-8).join('\n')

/** What ssh said, as one of our errors. */
function explained(destination: string, said: unknown): unknown {
  if (typeof said !== 'string') return said
  const fail = (code: 'E_VERIFY' | 'E_RIGHTS' | 'E_STAGE', what: string, hint: string): FleetsieError =>
    new FleetsieError(code, `${destination}: ${what}${said ? `:\n${said}` : ''}`, { hint })
  if (
    /Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED|No .* host key is known/.test(said)
  ) {
    return fail(
      'E_VERIFY',
      'its host key is not the one that ssh knows',
      `compare the fingerprint that \`ssh ${destination}\` shows with the device's own, then accept it there; \`ssh-keygen -R HOST\` forgets an old one`,
    )
  }
  if (/Permission denied|Too many authentication failures/.test(said)) {
    return fail(
      'E_RIGHTS',
      'it lets nobody in with the keys that ssh has',
      `\`ssh-copy-id ${destination}\`, or load the key with \`ssh-add\`; no password is asked for here`,
    )
  }
  return fail('E_STAGE', 'it cannot be reached', `\`ssh ${destination} true\` shows whether it answers`)
}

function noRoot(destination: string, user: string): FleetsieError {
  return new FleetsieError(
    'E_RIGHTS',
    `${destination}: ${user} is not root there, and \`sudo -n\` is refused`,
    {
      hint: `sync as root, or let ${user} use sudo without a password: echo '${user} ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/fleetsie-sync`,
    },
  )
}
