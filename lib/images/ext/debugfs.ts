/**
 * Runs debugfs commands in few processes and finds out whether they worked: debugfs itself exits 0 when one fails.
 * Facts from e2fsprogs 1.47.0, debugfs/debugfs.c and lib/ss/parse.c.
 */
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import type { Run } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import { shown } from '../volume.ts'

/** A command and its arguments; arguments are bytes as latin1. */
export type Command = readonly string[]

// source_file() reads lines by fgets into 8,192 bytes; the tail of a longer one would run as a command of its own.
const maxLine = 8000

/** Between double quotes a double quote is doubled; nothing else is special to libss. */
export function quote(argument: string): string {
  return /^[\w./<>@+,:=-]+$/.test(argument) ? argument : `"${argument.replaceAll('"', '""')}"`
}

export function line(command: Command): string {
  return command.map(quote).join(' ')
}

/** A command file ends a line at LF and at CR, and its lines are short: such a command needs -R. */
export function fitsFile(command: Command): boolean {
  return command.every((part) => !/[\n\r]/.test(part)) && line(command).length <= maxLine
}

export class Debugfs {
  private readonly run: Run
  private readonly device: string
  private readonly tmp: string
  private readonly now: number

  /** `device` as debugfs takes it, relative to `tmp`, where it runs. `now`: what it takes for the time, not 0. */
  constructor(run: Run, device: string, tmp: string, now: number) {
    this.run = run
    this.device = device
    this.tmp = tmp
    this.now = now
  }

  /** Runs commands that fit into a file, in one process. */
  async edit(commands: readonly Command[]): Promise<void> {
    if (commands.length === 0) return
    const script = join(this.tmp, 'debugfs.commands')
    await writeFile(script, Buffer.from(`${commands.map(line).join('\n')}\n`, 'latin1'))
    try {
      await this.start(['-w', '-f', script], commands.length, (index) => commands[index])
    } finally {
      await rm(script, { force: true })
    }
  }

  /** Runs one command of any shape. */
  async request(command: Command): Promise<void> {
    const text = shown(line(command))
    if (Buffer.from(text).toString('latin1') !== line(command)) {
      throw new FleetsieError(
        'E_UNSUPPORTED',
        `a name with a line break that is no UTF-8 either: ${JSON.stringify(text)}`,
      )
    }
    await this.start(['-w', '-R', text], 0, () => command)
  }

  private async start(
    args: string[],
    lines: number,
    at: (index: number) => Command | undefined,
  ): Promise<void> {
    const heard = new Listener()
    const { stderr } = await this.run('debugfs', [...args, this.device], {
      cwd: this.tmp,
      env: {
        E2FSPROGS_FAKE_TIME: `${this.now}`,
        DEBUGFS_PAGER: '__none__',
        PAGER: '__none__',
      },
      output: (stdout) => heard.listen(stdout),
    })
    const said = stderr.split('\n').filter((text) => text !== '' && !/^debugfs [\d.]+\S* \(/.test(text))
    const unexpected = [...said, ...heard.unexpected]
    if (unexpected.length === 0 && heard.echoes === lines) return
    const first = heard.failedAt ?? (unexpected.length === 0 ? heard.echoes : undefined)
    throw failed(unexpected, first === undefined ? undefined : at(first))
  }
}

/** stdout of debugfs: the echo of each line, what `write`, `mknod`, `rm` and `rmdir` always say, and what must not be. */
class Listener {
  echoes = 0
  unexpected: string[] = []
  failedAt: number | undefined

  async listen(stdout: Readable): Promise<void> {
    let rest = ''
    for await (const chunk of stdout as AsyncIterable<Buffer>) {
      const lines = (rest + chunk.toString('latin1')).split('\n')
      rest = lines.pop()!
      for (const text of lines) this.take(text)
    }
    if (rest !== '') this.take(rest)
  }

  private take(text: string): void {
    if (text.startsWith('debugfs: ')) {
      this.echoes++
    } else if (text !== '' && !/^Allocated inode: \d+$/.test(text)) {
      if (this.unexpected.length < 20) this.unexpected.push(shown(text))
      this.failedAt ??= this.echoes - 1
    }
  }
}

function failed(said: string[], command: Command | undefined): FleetsieError {
  const text = said.slice(0, 8).join('\n')
  const where = command ? ` at \`${shown(line(command)).slice(0, 200)}\`` : ''
  if (/could not allocate (block|inode)/i.test(text)) {
    return new FleetsieError('E_TOO_SMALL', `the filesystem became full${where}:\n${text}`, {
      hint: 'give the image more room with the option `grow`',
    })
  }
  return new FleetsieError(
    'E_STAGE',
    `debugfs failed${where}:\n${text || 'it ended before its last command'}`,
  )
}
