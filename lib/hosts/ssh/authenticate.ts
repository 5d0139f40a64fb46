/** How we show who we are: keys first, then, asking the user, keyboard-interactive and password. */
import { type AnyAuthMethod, type AuthHandlerMiddleware, BaseAgent, type ParsedKey, type Prompt } from 'ssh2'
import { FleetsieError } from '../../errors.ts'
import { printable } from '../../images/printable.ts'
import type { SshConfig } from './config.ts'
import type { Identities, Identity } from './identities.ts'
import type { Prompts } from './types.ts'

/** ssh2 takes everything that signs later as an agent. */
class KeyRing extends BaseAgent<ParsedKey> {
  private readonly keys: readonly Identity[]
  private readonly failed: (identity: Identity, error: Error) => void

  constructor(keys: readonly Identity[], failed: (identity: Identity, error: Error) => void) {
    super()
    this.keys = keys
    this.failed = failed
  }

  override getIdentities(done: (error?: Error | null, keys?: ParsedKey[]) => void): void {
    done(
      null,
      this.keys.map(({ publicKey }) => publicKey),
    )
  }

  override sign(key: ParsedKey, data: Buffer, options: unknown, done?: unknown): void {
    const answer = (done ?? options) as (error?: Error | null, signature?: Buffer) => void
    const hash = typeof options === 'object' ? (options as { hash?: string } | null)?.hash : undefined
    // ssh2 gives back a key that it was given.
    const identity = this.keys.find(({ publicKey }) => publicKey.getPublicSSH().equals(key.getPublicSSH()))!
    identity.sign(data, hash).then(
      (signature) => (signature instanceof Error ? answer(signature) : answer(null, signature)),
      (error: Error) => {
        this.failed(identity, error)
        answer(error)
      },
    )
  }
}

export interface Authentication {
  handler: AuthHandlerMiddleware
  /** The password that was typed last, for sudo to try. Only for this connection. */
  password: () => string | undefined
  /** What the other side would take, as it said last. */
  methods: () => readonly string[]
}

/** `fail` ends the attempt: the user said no, or cannot be asked. */
export function authentication(
  name: string,
  config: SshConfig,
  identities: Identities,
  prompts: Prompts,
  fail: (error: unknown) => void,
): Authentication {
  const username = config.user
  let password: string | undefined
  let methods: readonly string[] = []
  let asked = 0
  const ask = async (question: string): Promise<string> => {
    password = await prompts.secret(question)
    return password
  }
  const again = (): string => (asked++ > 0 ? 'That was wrong. ' : '')

  const keyRing = new KeyRing(identities.offered, (identity, error) => {
    identities.skipped.push(`${identity.name} (${error.message})`)
    if (error instanceof FleetsieError && !['E_USAGE', 'E_RIGHTS'].includes(error.code)) fail(error)
  })
  const byKeyboard: AnyAuthMethod = {
    ...{ type: 'keyboard-interactive', username },
    prompt: (_name: string, _instructions: string, _language: string, questions: Prompt[], answer) => {
      const all = async (): Promise<string[]> => {
        const answers: string[] = []
        for (const { prompt } of questions) {
          const text = printable(Buffer.from(prompt.slice(0, 200)).toString('latin1')).trim()
          answers.push(await ask(`${again()}${name} asks: ${text} `))
        }
        return answers
      }
      all().then(answer, fail)
    },
  }
  /** Each is tried while the other side offers its method. */
  const plan: { method: string; next: () => Promise<AnyAuthMethod | undefined> }[] = []
  if (config.methods.publickey && identities.offered.length > 0) {
    plan.push({ method: 'publickey', next: async () => ({ type: 'agent', username, agent: keyRing }) })
  }
  for (let tries = 0; tries < config.passwordPrompts; tries++) {
    if (!config.methods.keyboard) break
    // Where nothing was asked, nothing else will be.
    plan.push({
      method: 'keyboard-interactive',
      next: async () => (tries > 0 && asked === 0 ? undefined : byKeyboard),
    })
  }
  for (let tries = 0; tries < config.passwordPrompts; tries++) {
    if (!config.methods.password) break
    plan.push({
      method: 'password',
      next: async () => ({
        ...{ type: 'password', username },
        password: await ask(`${again()}Password of ${name}: `),
      }),
    })
  }

  const handler: AuthHandlerMiddleware = (left: string[] | null, _partial, answer) => {
    if (left === null) {
      answer({ type: 'none', username })
      return
    }
    methods = left
    const next = async (): Promise<AnyAuthMethod | false> => {
      while (true) {
        const at = plan.findIndex(({ method }) => left.includes(method))
        if (at < 0) return false
        const method = await plan.splice(at, 1)[0]!.next()
        if (method) return method
      }
    }
    next().then((method) => answer(method as AnyAuthMethod), fail)
  }
  return { handler, password: () => password, methods: () => methods }
}
