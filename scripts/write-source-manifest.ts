/**
 * Part of compiling. Writes into dist/ what the compiled program must know of its sources:
 * source-manifest.json, their digests, for lib/engine/code-digest.ts; and stamps.new.json, their sizes and
 * times, which becomes stamps.json: by it the bin sees whether dist/ is still what the checkout says.
 */
import { readdirSync, statSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { readFacts, type SourceManifest } from '../lib/engine/code-digest.ts'

const root = resolve(import.meta.dirname, '..')
const sources = ['lib', 'stages']
  .flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((name) => `${folder}/${name}`),
  )
  .filter((name) => name.endsWith('.ts'))
  .sort()

const stamps: Record<string, string> = {}
const stamp = (name: string): void => {
  const { size, mtimeMs } = statSync(join(root, name))
  stamps[name] = `${size} ${mtimeMs}`
}
const manifest: SourceManifest = {}
const visit = (name: string): void => {
  // What lies below node_modules is named as the project's, and is not compiled.
  if (manifest[name] || name.startsWith('project:')) return
  // First: a source that is edited meanwhile must not look like what was read.
  stamp(name)
  manifest[name] = readFacts(join(root, name), root)
  manifest[name].imports.forEach(visit)
}
for (const name of ['package.json', 'package-lock.json']) stamp(name)
// pipeline.ts may import stages of the user's own from anywhere in the checkout.
for (const name of [...sources, 'pipeline.ts']) visit(name)
writeFileSync(join(root, 'dist', 'source-manifest.json'), `${JSON.stringify(manifest, null, 1)}\n`)
writeFileSync(join(root, 'dist', 'stamps.new.json'), `${JSON.stringify(stamps, null, 1)}\n`)
