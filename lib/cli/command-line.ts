/** What this process was called with. */
import { realpathSync } from 'node:fs'
import { basename, resolve } from 'node:path'

/** The script and what follows it; zx and other runners stand before the script in argv. */
export function commandLine(argv: readonly string[]): { script: string; args: string[] } {
  const isScript = (argument: string): boolean => /\.[cm]?[jt]s$/.test(argument) && !argument.startsWith('-')
  const runner = basename(argv[1] ?? '')
  const zx = runner === 'zx' || (argv[1] ?? '').endsWith('zx/build/cli.js')
  const index = zx ? argv.findIndex((argument, i) => i > 1 && isScript(argument)) : 1
  const script = resolve(argv[index] ?? 'pipeline.ts')
  return { script: realpathSync(script), args: argv.slice(index + 1) }
}
