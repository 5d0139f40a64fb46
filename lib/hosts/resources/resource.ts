/** What every resource of a machine is: something that can be looked at, compared with what is wanted, and made so. */
import type { Host, RemoteOptions, RemoteResult } from '../ssh/types.ts'

/** The text of a POSIX sh script, the same whatever the data, and its `$1`…; it runs as root. */
export interface Script {
  text: string
  args?: readonly string[]
}

/** What a check printed: `fact NAME VALUE` or `encoded NAME <file`. */
export type Facts = ReadonlyMap<string, string>

/** Why a resource has to be applied, as one line, and for texts the lines that differ (`diff -u`). */
export interface Difference {
  because: string
  lines?: readonly string[]
}

/** Where changes are made. */
export interface Place {
  host: Host
  signal: AbortSignal
  /** Runs a script as root; another exit code than 0 is E_STAGE with what it said, or E_IO where the disk is full. */
  asRoot(script: Script, how?: Omit<RemoteOptions, 'sudo' | 'signal'>): Promise<RemoteResult>
  /** A new connection, made as the present one was. */
  again(): Promise<Host>
}

/** How far something long is, in bytes. */
export type Progress = (done: number, total: number) => void

export interface Resource {
  /** Kind and name as the user sees it, unlike any other: `file /etc/motd`. */
  name: string
  /** Looks, and changes nothing. */
  check: Script
  /** Undefined where all is as it should be. Fails where the machine cannot be made so. */
  diff(facts: Facts): Difference | undefined | Promise<Difference | undefined>
  /** What apply will need to be told or allowed; it fails before anything of the machine was changed. */
  prepare?(facts: Facts): Promise<void>
  /** Makes it so, from whatever an earlier, interrupted try has left. */
  apply(place: Place, facts: Facts, progress: Progress): Promise<void>
}

/** A fact that was printed by `encoded`: the bytes as text. */
export function decoded(facts: Facts, name: string): string | undefined {
  const value = facts.get(name)
  return value === undefined ? undefined : Buffer.from(value, 'base64').toString('utf8')
}
