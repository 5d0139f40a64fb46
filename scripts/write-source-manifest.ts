/** Part of compiling: writes dist/source-manifest.json about stages/ and lib/, for lib/engine/code-digest.ts. */
import { readdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { readFacts, type SourceManifest } from '../lib/engine/code-digest.ts'

const root = resolve(process.argv[2] ?? '.')
const manifest: SourceManifest = {}
for (const folder of ['lib', 'stages']) {
  for (const entry of readdirSync(join(root, folder), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.ts')) continue
    const path = join(entry.parentPath, entry.name)
    manifest[path.slice(root.length + 1)] = readFacts(path, root)
  }
}
const sorted = Object.fromEntries(Object.entries(manifest).sort(([a], [b]) => (a < b ? -1 : 1)))
writeFileSync(join(root, 'dist', 'source-manifest.json'), `${JSON.stringify(sorted, null, 1)}\n`)
