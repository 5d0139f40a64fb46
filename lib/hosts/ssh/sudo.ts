/**
 * Programs as root on the far side. One command line decides there: root runs the program at once, others by `sudo`,
 * which asks for a password only where it needs one. The password goes to sudo's stdin and nowhere else, and the
 * program's own stdin is held back until it says that it runs: sudo would take its lines for passwords.
 */
import { randomBytes } from 'node:crypto'
import { FleetsieError } from '../../errors.ts'
import { printable } from '../../images/printable.ts'
import type { Prompts } from './types.ts'

const passwordTries = 3
/** How long sudo may say nothing before the program runs. PAM waits for some seconds after a wrong password. */
export const sudoSilenceMs = 60_000

/** Says that it runs, then becomes the program. */
const started = 'printf %s "$0" >&2; exec "$@"'

const noSudo = 'fleetsie: there is no sudo'

/** `$0` is the mark of the start, `$1` the prompt. */
const launcher = `mark=$0 prompt=$1; shift
if [ "$(id -u)" = 0 ]; then printf %s "$mark" >&2; exec "$@"; fi
command -v sudo >/dev/null 2>&1 || { echo "${noSudo}" >&2; exit 1; }
exec sudo -S -p "$prompt" -- sh -c '${started}' "$mark" "$@"`

/** The password of a user on one machine: asked for once, by whichever program needs it first. */
export class SudoPassword {
  private readonly name: string
  private readonly prompts: Prompts
  private value: string | undefined
  private question: Promise<string> | undefined
  private asked = 0

  /** `known` is what the user has typed to log in; in most places sudo wants the same. */
  constructor(name: string, prompts: Prompts, known: string | undefined) {
    this.name = name
    this.prompts = prompts
    this.value = known
  }

  /** The one to try after `refused` was wrong. Fails with E_RIGHTS after so many, else as the question does. */
  async get(refused: string | undefined): Promise<string> {
    this.forget(refused)
    if (this.value !== undefined) return this.value
    this.question ??= this.ask(refused !== undefined).finally(() => {
      this.question = undefined
    })
    return this.question
  }

  forget(refused: string | undefined): void {
    if (this.value === refused) this.value = undefined
  }

  private async ask(again: boolean): Promise<string> {
    if (this.asked++ >= passwordTries) {
      throw new FleetsieError('E_RIGHTS', `${this.name}: sudo took none of ${passwordTries} passwords`)
    }
    const sorry = again ? 'That was wrong. ' : ''
    this.value = await this.prompts.secret(`${sorry}Password of ${this.name} for sudo: `)
    return this.value
  }
}

/** What stands between a program's stdin and stderr and the outside until it runs as root. */
export class SudoGate {
  private readonly mark = `fleetsie-${randomBytes(8).toString('hex')}`
  private readonly prompt = `${this.mark}?`
  private readonly name: string
  private readonly password: SudoPassword
  private heard = ''
  private tried: string | undefined
  private running = false

  constructor(name: string, password: SudoPassword) {
    this.name = name
    this.password = password
  }

  /** The arguments that run a program as root. */
  wrap(argv: readonly string[]): string[] {
    return ['sh', '-c', launcher, `${this.mark}!`, this.prompt, ...argv]
  }

  get open(): boolean {
    return this.running
  }

  /**
   * Takes what came on stderr (latin1). Answers what the program itself has said as soon as it runs; a password to
   * write, when sudo asks. Fails as SudoPassword.get.
   */
  async hear(text: string): Promise<{ password?: string; rest?: string }> {
    this.heard = (this.heard + text).slice(-64 * 1024)
    const at = this.heard.indexOf(`${this.mark}!`)
    if (at >= 0) {
      this.running = true
      return { rest: this.heard.slice(at + this.mark.length + 1) }
    }
    const asked = this.heard.indexOf(this.prompt)
    if (asked < 0) return {}
    this.heard = this.heard.slice(0, asked) + this.heard.slice(asked + this.prompt.length)
    this.tried = await this.password.get(this.tried)
    return { password: this.tried }
  }

  /** Why the program never ran. */
  refusal(): FleetsieError {
    this.password.forget(this.tried)
    if (this.heard.includes(noSudo)) {
      return new FleetsieError(
        'E_RIGHTS',
        `${this.name}: this user is not root, and there is no sudo there`,
        {
          hint: 'connect as root, or install sudo there and let the user use it',
        },
      )
    }
    const said = this.heard.trim().split('\n').slice(-4).map(printable).join('\n')
    return new FleetsieError('E_RIGHTS', `${this.name}: sudo refuses${said ? `:\n${said}` : ''}`, {
      hint: 'connect as root, or as a user who may use sudo for everything',
    })
  }
}
