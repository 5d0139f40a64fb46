/** One attempt: a stream to the machine, its key verified, ourselves let in. */
import type { Duplex } from 'node:stream'
import { Client } from 'ssh2'
import { FleetsieError } from '../../errors.ts'
import { authentication } from './authenticate.ts'
import type { SshConfig } from './config.ts'
import { notConnected, notLetIn } from './errors.ts'
import { hostKey, hostKeyAlgorithms, isKnown } from './host-key.ts'
import type { Identities } from './identities.ts'
import { type KnownKey, remember } from './known-hosts.ts'
import { endWhenSilent, keepaliveMs } from './silence.ts'
import type { HostKey, Prompts } from './types.ts'

export interface Attempt {
  name: string
  config: SshConfig
  known: readonly KnownKey[]
  /** The fingerprint to take from a machine that is not known. */
  accepted: string | undefined
  identities: Identities
  prompts: Prompts
  /** Ends the attempt with its reason. */
  signal: AbortSignal
  dial(): Promise<Duplex>
}

export interface Established {
  client: Client
  /** What the connection goes through. */
  stream: Duplex
  key: HostKey
  /** What the user has typed to log in. */
  password: string | undefined
}

/** Thrown before anything was sent: nothing is known of this machine. */
export class UnknownHost extends Error {
  readonly key: HostKey

  constructor(key: HostKey) {
    super('unknown host key')
    this.key = key
  }
}

/** Fails with UnknownHost, or as `connect`. Whatever happens, a stream that is not used is closed. */
export async function establish(attempt: Attempt): Promise<Established> {
  const { name, config, known, accepted, identities, signal } = attempt
  const stream = await attempt.dial()
  const client = new Client()
  let key: HostKey | undefined
  let refusal: unknown
  let isNew = false
  let fail: (error: unknown) => void = () => {}
  const ready = new Promise<void>((resolve, reject) => {
    fail = reject
    client.once('ready', resolve)
  })
  const remembered = new Promise<void>((resolve, reject) => {
    // By now it has signed with that key.
    client.once('handshake', () => (isNew ? remember(config, key!).then(resolve, reject) : resolve()))
  })
  remembered.catch(() => {})
  const auth = authentication(name, config, identities, attempt.prompts, fail)
  const onAbort = (): void => fail(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  client.on('error', (error: Error & { level?: string }) => {
    // A key that does not sign: the next one is tried.
    if (error.level === 'agent') return
    fail(refusal ?? notConnected(name, config, error, identities, auth.methods()))
  })
  client.once('close', () => fail(refusal ?? notConnected(name, config, lost, identities, auth.methods())))

  const verify = (blob: Buffer): boolean => {
    const shown = hostKey(blob)
    // Again with each new session key.
    if (key) return key.base64 === shown.base64
    key = shown
    try {
      if (isKnown(name, config, shown, known)) return true
      if (shown.fingerprint !== accepted) throw new UnknownHost(shown)
      isNew = true
      return true
    } catch (error) {
      refusal = error
      return false
    }
  }
  try {
    signal.throwIfAborted()
    client.connect({
      sock: stream,
      username: config.user,
      algorithms: { serverHostKey: hostKeyAlgorithms(config, known) },
      hostVerifier: verify,
      authHandler: auth.handler,
      // Another clock runs, which stops while the user is asked.
      readyTimeout: 0,
      keepaliveInterval: keepaliveMs,
      // What counts is whether anything comes, not whether an answer overtakes a long upload.
      keepaliveCountMax: Number.MAX_SAFE_INTEGER,
    })
    await Promise.all([ready, remembered])
    endWhenSilent(stream, client)
    return { client, stream, key: key!, password: auth.password() }
  } catch (error) {
    client.destroy()
    stream.destroy()
    if (error instanceof FleetsieError && error.code === 'E_USAGE') {
      throw notLetIn(name, config, identities, auth.methods(), error)
    }
    throw error
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

const lost = new Error('closed from there')
