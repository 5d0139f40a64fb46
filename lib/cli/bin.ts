#!/usr/bin/env node
/**
 * The installed command: finds the pipeline.ts of this folder or one above it and runs it with these
 * arguments. Loads as little as it can before that: most calls have nothing to do.
 */
import { existsSync, readFileSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

/** Verbs that look at no pipeline. */
const alone = new Set(['doctor', 'gc', 'keys', 'store', 'verify', 'help', '--help', '-h', '--version', '-V'])

const args = process.argv.slice(2)
const script = findPipeline(process.cwd())
if (script === undefined || args.length === 0 || alone.has(args[0]!)) {
  const { main } = await import('./main.ts')
  await main(args, undefined)
} else {
  // A relative one counts from where the user is, as for the verbs that look at no pipeline.
  if (process.env['FLEETSIE_STORE']) process.env['FLEETSIE_STORE'] = resolve(process.env['FLEETSIE_STORE'])
  process.chdir(dirname(script))
  // What the script sees is what it sees under zx: itself, then its arguments.
  process.argv = [process.argv[0]!, script, ...args]
  try {
    await import(pathToFileURL(await loadable(script)).href)
  } catch (error) {
    const { notLoaded } = await import('./not-loaded.ts')
    await notLoaded(script, args, error)
  }
}

function findPipeline(folder: string): string | undefined {
  for (let at = resolve(folder); ; at = dirname(at)) {
    for (const name of ['pipeline.ts', 'pipeline.mts', 'pipeline.js', 'pipeline.mjs']) {
      if (existsSync(join(at, name))) return join(at, name)
    }
    if (dirname(at) === at) return undefined
  }
}

/** A file that this Node can import and that does what the script does. */
async function loadable(path: string): Promise<string> {
  const own = compiledPipeline(path)
  if (own !== undefined) return own
  if (/\.m?ts$/.test(path) && !nodeReadsTypeScript()) {
    const { register } = await import('tsx/esm/api')
    register()
  }
  return path
}

/** In the checkout of this package: dist/pipeline.js, as long as no source is newer than what it was made from. */
function compiledPipeline(path: string): string | undefined {
  const dist = resolve(dirname(fileURLToPath(import.meta.url)), '..', '..')
  if (dirname(path) !== dirname(dist)) return undefined
  const stamps = join(dist, 'stamps.json')
  if (!existsSync(stamps)) return undefined
  const known = JSON.parse(readFileSync(stamps, 'utf8')) as Record<string, string>
  const fresh = Object.entries(known).every(([name, stamp]) => {
    const now = statSync(join(dirname(dist), name), { throwIfNoEntry: false })
    return now !== undefined && `${now.size} ${now.mtimeMs}` === stamp
  })
  return fresh ? join(dist, 'pipeline.js') : undefined
}

function nodeReadsTypeScript(): boolean {
  // `features.typescript` is false or a word from Node 22.10 on, and absent before.
  const features = process.features as { typescript?: false | string }
  if (features.typescript) return true
  // A loader that the user registered reads it as well.
  return (
    (process.env['NODE_OPTIONS'] ?? '').includes('tsx') &&
    createRequire(import.meta.url).resolve('tsx') !== ''
  )
}
