/** What the rest of the program knows of a machine that it reaches over ssh. */
import type { Duplex, Readable } from 'node:stream'

/** Asks the person in front. lib/cli gives the terminal's; without a terminal both fail with a hint. */
export interface Prompts {
  /** A password or passphrase, never shown and never kept. */
  secret(question: string): Promise<string>
  /** `details` are lines to read before the answer. False is no. */
  confirm(question: string, details: readonly string[]): Promise<boolean>
}

export interface RemoteOptions {
  /** What the program reads; nothing: its stdin is at its end. */
  stdin?: string | Uint8Array | Readable
  /**
   * Fails with E_INTERRUPTED at once. The program gets SIGTERM where sshd passes that on (not to root's programs), and
   * loses its stdin and outputs anyway.
   */
  signal?: AbortSignal
  /** What stdout may hold, bytes; more fails with E_STAGE. Default 16 MiB. Of stderr the last 64 KiB are kept. */
  limit?: number
  /** Milliseconds for the whole of it; then E_TIMEOUT. Default: no limit, for a dead connection ends by itself. */
  timeout?: number
  /** As root: nothing more for root, `sudo -n` for others, or sudo with the password asked for once. */
  sudo?: boolean
}

export interface RemoteResult {
  /** 0 to 255; 128 + its number when a signal ended the program, as shells count. Never an error by itself. */
  code: number
  /** As ssh names it, such as `SIGTERM`, when one ended the program. */
  killedBy?: string
  stdout: Buffer
  stderr: string
}

export interface HostKey {
  /** Such as `ssh-ed25519`. */
  type: string
  base64: string
  /** `SHA256:…` without padding, as ssh prints it. */
  fingerprint: string
}

/** A machine behind one verified connection. Every call may fail with E_IO when that breaks. */
export interface Host {
  /** The destination as it was given. */
  name: string
  user: string
  /** Name or address that was connected to, after ssh_config. */
  host: string
  port: number
  hostKey: HostKey
  /** Runs a program with these arguments, whatever they hold; NUL cannot be passed and is E_INPUT. */
  run(argv: readonly string[], how?: RemoteOptions): Promise<RemoteResult>
  /**
   * Runs the text of a POSIX sh script with `$1`… and a stdin of its own. The text is not among the arguments that
   * other users of that machine can see; `args` are.
   */
  script(text: string, args: readonly string[], how?: RemoteOptions): Promise<RemoteResult>
  /** A connection from there to a port, of that machine itself unless said. */
  forward(port: number, host?: string): Promise<Duplex>
  /** Ends what still runs and the connection. Never fails; twice is once. */
  close(): Promise<void>
}

export interface ConnectOptions {
  prompts: Prompts
  signal: AbortSignal
  /** HOME, SSH_AUTH_SOCK and what else the programs of OpenSSH look for. */
  env: Readonly<Record<string, string | undefined>>
  /** A fingerprint `SHA256:…`: an unknown host with exactly this key is taken without a question. */
  acceptNew?: string
  /** Milliseconds until the machine has answered and let us in, questions to the user not counted. Default 20,000. */
  timeout?: number
}
