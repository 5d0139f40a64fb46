/** What a pipeline.ts calls: its targets, run by the command line behind it. */

import { realpathSync } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import { main } from './main.ts'
import type { Targets } from './project.ts'

/**
 * Runs the command line for these targets: `zx pipeline.ts build`, `fleetsie build`. Relative paths in
 * options count from the folder of pipeline.ts. Sets process.exitCode; never throws.
 */
export async function pipeline(targets: Targets): Promise<void> {
  const { script, args } = commandLine(process.argv)
  await main(args, { targets, cwd: dirname(script), script })
}

/** The script and what follows it; zx and other runners stand before the script in argv. */
export function commandLine(argv: readonly string[]): { script: string; args: string[] } {
  const isScript = (argument: string): boolean => /\.[cm]?[jt]s$/.test(argument) && !argument.startsWith('-')
  const runner = basename(argv[1] ?? '')
  const zx = runner === 'zx' || (argv[1] ?? '').endsWith('zx/build/cli.js')
  const index = zx ? argv.findIndex((argument, i) => i > 1 && isScript(argument)) : 1
  const script = resolve(argv[index] ?? 'pipeline.ts')
  return { script: realpathSync(script), args: argv.slice(index + 1) }
}
