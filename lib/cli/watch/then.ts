/** `--then`: the user's own command after each build, its output line by line. */
import { tmpdir } from 'node:os'
import { createInterface } from 'node:readline'
import { PassThrough, type Readable } from 'node:stream'
import type { Emit } from '../../engine/events.ts'
import { runner } from '../../engine/process.ts'
import { toFleetsieError } from '../../errors.ts'
import { userEnvironment } from './messages.ts'

/** A program and its arguments. */
export type Command = readonly [string, ...string[]]

export class Then {
  private readonly command: Command
  private readonly cwd: string
  private readonly emit: Emit
  private last: Promise<void> = Promise.resolve()

  constructor(command: Command, cwd: string, emit: Emit) {
    this.command = command
    this.cwd = cwd
    this.emit = emit
  }

  /** Runs it once the run before has ended, and `after`. Never fails: what goes wrong is told. */
  start(signal: AbortSignal, after: Promise<void> = Promise.resolve()): Promise<void> {
    this.last = Promise.all([this.last, after]).then(() => this.run(signal))
    return this.last
  }

  /** When no run is left. */
  ended(): Promise<void> {
    return this.last
  }

  private async run(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return
    const stderr = new PassThrough()
    const errors = this.lines(stderr, 'stderr')
    const run = runner({ home: tmpdir(), signal, log: (text) => stderr.write(text) })
    const [program, ...args] = this.command
    try {
      await run(program, args, {
        cwd: this.cwd,
        env: userEnvironment(),
        output: (stdout) => this.lines(stdout, 'stdout'),
      })
    } catch (error) {
      const { code, message } = toFleetsieError(error)
      // The first line: what the program printed is shown already.
      if (code !== 'E_INTERRUPTED') {
        this.emit({ type: 'warning', message: `--then: ${message.split('\n', 1)[0]!.replace(/:$/, '')}` })
      }
    } finally {
      stderr.end()
      await errors
    }
  }

  private async lines(from: Readable, stream: 'stdout' | 'stderr'): Promise<void> {
    for await (const text of createInterface({ input: from })) this.emit({ type: 'output', stream, text })
  }
}
