/** Runs mtools on a partition, whatever the host's own mtools.conf says. */
import type { Run, RunResult } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'

// More arguments than this go into several runs.
const maxArguments = 200

export class Mtools {
  private readonly run: Run
  private readonly image: string
  private readonly cwd: string

  /** `disk` and host files are relative to `cwd`. */
  constructor(run: Run, cwd: string, disk: string, offset: number) {
    this.run = run
    this.cwd = cwd
    this.image = offset === 0 ? disk : `${disk}@@${offset}`
  }

  /** `time`: seconds since 1970 for all times that the tool sets. */
  async call(command: string, args: readonly string[], time: number): Promise<RunResult> {
    const result = await this.run(command, ['-i', this.image, ...args], {
      cwd: this.cwd,
      env: {
        SOURCE_DATE_EPOCH: `${time}`,
        // Under LC_ALL=C names are mangled, with exit code 0; FAT's local time is UTC here.
        LC_ALL: 'C.UTF-8',
        TZ: 'UTC',
        MTOOLS_SKIP_CHECK: '1',
        MTOOLS_LOWER_CASE: '0',
        MTOOLS_NO_VFAT: '0',
        MTOOLS_DOTTED_DIR: '0',
        MTOOLS_NAME_NUMERIC_TAIL: '1',
        MTOOLS_FAT_COMPATIBILITY: '0',
      },
    })
    const said = result.stderr.trim()
    if (said === '') return result
    const details = /full|no free|no space/i.test(said)
      ? { hint: 'give the image more room with the option `grow`' }
      : {}
    throw new FleetsieError('hint' in details ? 'E_TOO_SMALL' : 'E_STAGE', `${command}: ${said}`, details)
  }

  async each(
    command: string,
    options: readonly string[],
    names: readonly string[],
    time: number,
    last: readonly string[] = [],
  ): Promise<void> {
    for (let at = 0; at < names.length; at += maxArguments) {
      await this.call(command, [...options, ...names.slice(at, at + maxArguments), ...last], time)
    }
  }
}

/** mtools takes `[ ] * ?` in a name as a pattern; a backslash before it makes it plain. */
export function literal(name: string): string {
  return name.replace(/[[\]*?\\]/g, '\\$&')
}
