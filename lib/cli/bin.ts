#!/usr/bin/env node
/**
 * The installed command: finds the pipeline.ts of this folder or one above it and runs it with these
 * arguments. Loads as little as it can before that: most calls have nothing to do.
 */
import { existsSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { shortNames } from './short-names.ts'

/** Verbs that look at no pipeline. Those of the desk work in the folder where the user is. */
const desk = ['init', 'mount', 'unmount', 'install', 'save', 'status']
const fleet = ['srv', 'gen', 'devices', 'ports', 'ssh', 'revoke', 'rotate']
const others = ['doctor', 'gc', 'keys', 'store', 'verify', 'help', '--help', '-h', '--version', '-V']
const alone = new Set([...desk, ...fleet, ...others])

/** Verbs whose arguments name files from where the user is. */
const staying = new Set(['updatesd', 'diff', 'graph', 'boot'])

const verb = shortNames.get(basename(process.argv[1]!))
const args = [...(verb ? [verb] : []), ...process.argv.slice(2)]
const script = findPipeline(process.cwd())
if (script === undefined || args.length === 0 || alone.has(args[0]!)) {
  const { main } = await import('./main.ts')
  await main(args, undefined)
} else {
  // A relative one counts from where the user is, as for the verbs that look at no pipeline.
  if (process.env['FLEETSIE_STORE']) process.env['FLEETSIE_STORE'] = resolve(process.env['FLEETSIE_STORE'])
  if (!staying.has(args[0]!)) process.chdir(dirname(script))
  // What the script sees is what it sees under zx: itself, then its arguments.
  process.argv = [process.argv[0]!, script, ...args]
  if (args[0] === 'watch') await watch(script)
  else await run(script)
}

function findPipeline(folder: string): string | undefined {
  for (let at = resolve(folder); ; at = dirname(at)) {
    for (const name of ['pipeline.ts', 'pipeline.mts', 'pipeline.js', 'pipeline.mjs']) {
      if (existsSync(join(at, name))) return join(at, name)
    }
    if (dirname(at) === at) return undefined
  }
}

async function run(script: string): Promise<void> {
  try {
    const { loadable } = await import('./loadable.ts')
    await import(pathToFileURL(await loadable(script)).href)
  } catch (error) {
    const { notLoaded } = await import('./not-loaded.ts')
    await notLoaded(script, args, error)
  }
}

/** Another process builds; this one must live when the script is broken. */
async function watch(script: string): Promise<void> {
  const { main } = await import('./main.ts')
  await main(args, { targets: {}, cwd: dirname(script), script })
}
