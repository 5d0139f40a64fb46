/**
 * What a stage's code is: the sha256 of its own source and of every source that it imports, and the
 * versions of the packages. The compiled package carries the same facts about the same sources in
 * source-manifest.json, so that checkout, bin and installed package compute the same keys.
 */
import { readFileSync, statSync } from 'node:fs'
import { dirname, extname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { FleetsieError } from '../errors.ts'
import { sha256Hex } from './canonical.ts'
import { importSpecifiers } from './imports.ts'
import type { Manifest } from './manifest.ts'
import { isLinked, packageIdentity, packageName, subpathTarget } from './packages.ts'

/** One source: its sha256, the sources that it imports (module ids), and packages as name → version (see packages.ts). */
export interface SourceFacts {
  sha256: string
  imports: string[]
  packages: Record<string, string>
}

/** Module id → facts. An id is a path below the package's or the project's root: `stages/overlay.ts`. */
export type SourceManifest = Record<string, SourceFacts>

const here = fileURLToPath(import.meta.url)
const compiled = here.endsWith('.js')
/** The folder that holds stages/ and lib/: the checkout, or dist/ of the package. */
export const codeRoot = resolve(dirname(here), '..', '..')

const shippedFile = join(codeRoot, 'source-manifest.json')
let shipped: SourceManifest | undefined
/** Of the manifest's own file: it is written anew whenever the package is compiled. */
let shippedFacts: { stamp: string; facts: Pick<SourceFacts, 'sha256'> } | undefined

function shippedManifest(): SourceManifest {
  if (shipped === undefined) {
    const stamp = stampOf(shippedFile)
    const text = readFileSync(shippedFile)
    shippedFacts = { stamp, facts: { sha256: sha256Hex(text) } }
    shipped = JSON.parse(text.toString('utf8')) as SourceManifest
  }
  return shipped
}

/**
 * Digests of the code behind a module: `code.<module id>` → sha256 and `package.<name>` → version.
 * `projectRoot` is the folder of pipeline.ts; a user's own stages are named relative to it.
 */
export function codeDigests(moduleUrl: string, projectRoot: string): Record<string, string> {
  if (!compiled) recallCompiled()
  const digests: Record<string, string> = {}
  const seen = new Set<string>()
  const visit = (id: string): void => {
    if (seen.has(id)) return
    seen.add(id)
    const facts = sourceFacts(id, projectRoot)
    digests[`code.${id}`] = facts.sha256
    for (const [name, version] of Object.entries(facts.packages)) digests[`package.${name}`] = version
    facts.imports.forEach(visit)
  }
  visit(moduleId(fileURLToPath(moduleUrl), projectRoot))
  return digests
}

/** Both are absolute and normal. Called for each import of each module, where path.relative would take milliseconds. */
function within(root: string, path: string): string | undefined {
  const folder = root.endsWith('/') ? root : `${root}/`
  return path.startsWith(folder) && path !== folder ? path.slice(folder.length) : undefined
}

function moduleId(path: string, projectRoot: string): string {
  const own = within(codeRoot, path)
  if (own !== undefined && !own.startsWith('node_modules/')) {
    return compiled ? own.replace(/\.js$/, '.ts') : own
  }
  const users = within(projectRoot, path)
  if (users !== undefined) return `project:${users}`
  throw new FleetsieError('E_INPUT', `the stage's code lies outside of the project`, {
    file: path,
    hint: `keep it below ${projectRoot}, next to pipeline.ts`,
  })
}

/** The first file of a module's code that is not what a key's manifest was made of. */
export function editedSince(manifest: Manifest, moduleUrl: string, projectRoot: string): string | undefined {
  // The code is not in the key of a fixed output.
  if (manifest['output'] !== undefined) return undefined
  const now = codeDigests(moduleUrl, projectRoot)
  const name = Object.keys(now).find((name) => name.startsWith('code.') && now[name] !== manifest[name])
  return name?.slice('code.'.length) ?? editedCode(codeFiles(moduleUrl, projectRoot))
}

const remembered = new Map<string, { stamp: string; facts: SourceFacts }>()
/** What recallCompiled found: it counts for files that are still the same. */
const compiledFacts = new Map<string, { stamp: string; facts: SourceFacts }>()
let recalled = false
let pinned = false

/**
 * For a process that lives on while sources are edited: it runs the code that it loaded, so what was read of a source
 * counts from then on, whatever its file holds later.
 */
export function pinCode(): void {
  pinned = true
}

/** The files on disk behind a module: its own and what it imports, without packages. Compiled code counts as one. */
export function codeFiles(moduleUrl: string, projectRoot: string): string[] {
  const ids = Object.keys(codeDigests(moduleUrl, projectRoot)).flatMap((name) =>
    name.startsWith('code.') ? [name.slice('code.'.length)] : [],
  )
  const files = ids.map((id) => {
    if (id.startsWith('project:')) return join(projectRoot, id.slice('project:'.length))
    return compiled ? shippedFile : join(codeRoot, id)
  })
  return [...new Set(files)]
}

/** The first of these files that holds something else than when it was read; one that was never read counts as well. */
export function editedCode(files: readonly string[]): string | undefined {
  return files.find((file) => {
    const known = file === shippedFile ? shippedFacts : remembered.get(file)
    const stat = statSync(file, { throwIfNoEntry: false })
    if (known === undefined || stat === undefined) return true
    const now = `${stat.size} ${stat.mtimeMs}`
    if (known.stamp === now) return false
    if (sha256Hex(readFileSync(file)) !== known.facts.sha256) return true
    known.stamp = now
    return false
  })
}

/**
 * A checkout that was compiled knows the facts of every source that has not changed since: reading and hashing all of
 * them took 25 ms of a build with nothing to do. Other packages than then would mean other versions, so then nothing counts.
 */
function recallCompiled(): void {
  if (recalled) return
  recalled = true
  const dist = join(codeRoot, 'dist')
  try {
    const stamps = JSON.parse(readFileSync(join(dist, 'stamps.json'), 'utf8')) as Record<string, string>
    const packages = ['package.json', 'package-lock.json']
    if (!packages.every((name) => stamps[name] === stampOf(join(codeRoot, name)))) return
    const manifest = JSON.parse(readFileSync(join(dist, 'source-manifest.json'), 'utf8')) as SourceManifest
    for (const [id, facts] of Object.entries(manifest)) {
      const stamp = stamps[id]
      const linked = Object.values(facts.packages).some(isLinked)
      if (stamp !== undefined && !linked) compiledFacts.set(join(codeRoot, id), { stamp, facts })
    }
  } catch {
    // Not compiled, or just being compiled.
  }
}

/** Size and time of a file. */
function stampOf(path: string): string {
  const { size, mtimeMs } = statSync(path)
  return `${size} ${mtimeMs}`
}

function sourceFacts(id: string, projectRoot: string): SourceFacts {
  if (id.startsWith('project:')) return readFacts(join(projectRoot, id.slice('project:'.length)), projectRoot)
  if (!compiled) return readFacts(join(codeRoot, id), projectRoot)
  const facts = shippedManifest()[id]
  if (!facts) throw new FleetsieError('E_BUG', `the package's source manifest lacks ${id}`)
  // In a checkout the user's own stages are compiled as well, and may import what is edited without them.
  const linked = Object.keys(facts.packages).filter((name) => isLinked(facts.packages[name]!))
  const folder = dirname(join(codeRoot, '..', id))
  const now = linked.map((name) => [name, packageIdentity(name, folder) ?? 'unresolved'])
  return linked.length === 0
    ? facts
    : { ...facts, packages: { ...facts.packages, ...Object.fromEntries(now) } }
}

/** Facts of a source file on disk. */
export function readFacts(path: string, projectRoot: string): SourceFacts {
  const known = remembered.get(path)
  if (pinned && known) return known.facts
  const stamp = stampOf(path)
  const same = [known, compiledFacts.get(path)].find((facts) => facts?.stamp === stamp)
  if (same) {
    remembered.set(path, same)
    return same.facts
  }
  const source = readFileSync(path)
  const facts: SourceFacts = { sha256: sha256Hex(source), imports: [], packages: {} }
  for (const written of importSpecifiers(source.toString('utf8'))) {
    const specifier = written.startsWith('#') ? subpathTarget(written, path) : written
    if (specifier.startsWith('node:')) continue
    if (/^(?:\.|\/|file:)/.test(specifier)) {
      facts.imports.push(moduleId(resolveSource(path, specifier), projectRoot))
    } else {
      const name = packageName(specifier)
      facts.packages[name] = packageIdentity(name, dirname(path)) ?? ownVersion(name)
    }
  }
  remembered.set(path, { stamp, facts })
  return facts
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false
}

/** A user may write `./x.js` or `./x` for ./x.ts. */
function resolveSource(importer: string, specifier: string): string {
  const path = specifier.startsWith('file:')
    ? fileURLToPath(specifier)
    : resolve(dirname(importer), specifier)
  if (isFile(path)) return path
  const bare = extname(path) === '' ? path : path.slice(0, -extname(path).length)
  const candidates = [`${bare}.ts`, `${bare}.mts`, `${path}.ts`, `${path}.js`, join(path, 'index.ts')]
  const found = candidates.find(isFile)
  if (found) return found
  throw new FleetsieError('E_INPUT', `imports ${JSON.stringify(specifier)}, which does not exist`, {
    file: importer,
  })
}

function ownVersion(name: string): string {
  const file = join(compiled ? dirname(codeRoot) : codeRoot, 'package.json')
  const own = JSON.parse(readFileSync(file, 'utf8')) as { name: string; version: string }
  return own.name === name ? own.version : 'unresolved'
}
