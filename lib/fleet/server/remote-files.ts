/** A fleet's databases, opened by a process of the fleet's user (serve-files.ts) that the root helper starts. */
import type { Readable, Writable } from 'node:stream'
import * as v from 'valibot'
import type { Run } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import { parseJson } from '../../formats/json.ts'
import type { Begun, FleetContents, FleetFiles } from '../registry/fleet-files.ts'
import type { Otps } from '../registry/provisioning.ts'
import type { Wanted } from '../registry/sync.ts'
import { begunOf, contentsOf, type FilesRequest, filesAnswers } from './files-protocol.ts'
import { explained } from './root-helper.ts'

/** Whoever has the fleet's user may let it hang: the whole server is locked meanwhile. Milliseconds. */
const timeout = 90_000
/** Characters of one answer: 10,000 devices have 15 million. */
const maxAnswer = 64 * 1024 * 1024

export class RemoteFleetFiles implements FleetFiles {
  readonly #fleet: string
  readonly #file: string
  readonly #start: (io: {
    input: (stdin: Writable) => Promise<void>
    output: (stdout: Readable) => Promise<void>
  }) => Promise<unknown>
  #stdin: Writable | undefined
  #ended: Promise<void> | undefined
  /** Called when all is said. */
  #hangUp: () => void = () => {}
  #answered: ((line: string) => void) | undefined

  /** `argv` runs serveFiles for `fleet`; `file` is what errors call its Fleet file. */
  constructor(run: Run, [command, ...args]: readonly [string, ...string[]], fleet: string, file: string) {
    this.#fleet = fleet
    this.#file = file
    this.#start = (io) => run(command, args, { ...io, timeout })
  }

  async read(): Promise<FleetContents | undefined> {
    return contentsOf(await this.#ask({ do: 'read' }, filesAnswers.read), this.#fleet, this.#file)
  }

  async begin(): Promise<Begun> {
    return begunOf(await this.#ask({ do: 'begin' }, filesAnswers.begin), this.#fleet, this.#file)
  }

  async provision(otps: Otps, anew: boolean): Promise<void> {
    await this.#ask({ do: 'provision', otps: [...otps], anew }, filesAnswers.provision)
  }

  async finish(wanted: Wanted, now: number): Promise<void> {
    await this.#ask({ do: 'finish', wanted, now }, filesAnswers.finish)
  }

  async close(): Promise<void> {
    this.#hangUp()
    // Why it ended badly, whoever asked has been told.
    await this.#ended?.catch(() => {})
  }

  async #ask<Value>(
    request: FilesRequest,
    schema: v.GenericSchema<unknown, { value: Value } | { error: Failure }>,
  ): Promise<Value> {
    this.#ended ??= this.#begin()
    const line = new Promise<string>((resolve) => {
      this.#answered = resolve
    })
    this.#stdin?.write(`${JSON.stringify(request)}\n`)
    const gone = this.#ended.then(() => Promise.reject(this.#wrong('no answer')))
    const answer = v.safeParse(schema, parseJson(await Promise.race([line, gone])))
    if (!answer.success) throw this.#wrong('an answer that is none')
    if ('value' in answer.output) return answer.output.value
    const { code, message, hint, file } = answer.output.error
    throw new FleetsieError(code, plain(message), {
      ...(hint !== undefined && { hint: plain(hint) }),
      ...(file !== undefined && { file: plain(file) }),
    })
  }

  #begin(): Promise<void> {
    const over = new Promise<void>((resolve) => {
      this.#hangUp = resolve
    })
    const input = async (stdin: Writable): Promise<void> => {
      this.#stdin = stdin
      await over
      stdin.end()
    }
    // When it has ended, nobody has anything more to say.
    const output = (stdout: Readable): Promise<void> => this.#listen(stdout).finally(this.#hangUp)
    const ended = this.#start({ input, output }).then(
      () => {},
      (error: unknown) => Promise.reject(explained(error)),
    )
    ended.catch(() => {})
    return ended
  }

  async #listen(stdout: Readable): Promise<void> {
    let pieces: string[] = []
    let size = 0
    for await (const text of stdout.setEncoding('utf8') as AsyncIterable<string>) {
      size += text.length
      if (size > maxAnswer) throw this.#wrong('an endless answer')
      pieces.push(text)
      if (!text.includes('\n')) continue
      this.#answered?.(pieces.join(''))
      pieces = []
      size = 0
    }
  }

  #wrong(what: string): FleetsieError {
    return new FleetsieError('E_IO', `the fleet's account gave ${what} from its databases`, {
      file: this.#file,
      hint: `see what runs as fleetsie_${this.#fleet}`,
    })
  }
}

type Failure = Extract<v.InferOutput<(typeof filesAnswers)['read']>, { error: unknown }>['error']

/** What is printed on a manager's terminal in the end. */
function plain(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, '?')
}
