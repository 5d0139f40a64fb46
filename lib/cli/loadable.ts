/** Which file stands for a pipeline.ts in this Node: itself, or what was compiled from it. */
import { existsSync, readFileSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/** A file that this Node can import and that does what the script does. */
export async function loadable(path: string): Promise<string> {
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
