/** What a pipeline.ts calls: its targets, run by the command line behind it. */

import { realpathSync } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import type { Derivation } from '../engine/stage.ts'
import { main } from './main.ts'

/** What makes an artifact, called only when that is wanted; `about` is a line for whoever builds it. */
export type TargetDefinition = (() => Derivation) | { about: string; make: () => Derivation }

/** Name of a target → what makes it. The first is the default. */
export type Targets = Record<string, TargetDefinition>

/** A pipeline.ts that is being run: its targets and its folder, against which paths count. */
export interface Project {
  targets: Targets
  cwd: string
}

/**
 * Runs the command line for these targets: `zx pipeline.ts build`, `fleetsie build`. Relative paths in
 * options count from the folder of pipeline.ts. Sets process.exitCode; never throws.
 */
export async function pipeline(targets: Targets): Promise<void> {
  const { script, args } = commandLine(process.argv)
  await main(args, { targets, cwd: dirname(script) })
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
