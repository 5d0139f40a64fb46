/** What a pipeline.ts calls: its targets, run by the command line behind it. */

import { dirname } from 'node:path'
import { commandLine } from './command-line.ts'
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
