/** What a package that code imports is: its version and, where its sources are edited in place, what they hold. */
import { readdirSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { dirname, join, sep } from 'node:path'
import { FleetsieError } from '../errors.ts'
import { sha256Hex } from './canonical.ts'

interface PackageJson {
  name?: string
  version?: string
  imports?: Record<string, unknown>
}

const mostSources = 10_000
const isSource = /\.(?:[cm]?[jt]sx?|json|node|wasm)$/

export function packageName(specifier: string): string {
  const parts = specifier.split('/')
  return specifier.startsWith('@') ? parts.slice(0, 2).join('/') : parts[0]!
}

/**
 * The version of the package that a file in `folder` gets by this name; undefined when there is none. One that is
 * linked (a workspace, `npm link`) changes without a new version: the sha256 of its sources follows.
 */
export function packageIdentity(name: string, folder: string): string | undefined {
  for (let at = folder; ; at = dirname(at)) {
    const file = join(at, 'node_modules', name, 'package.json')
    if (isFile(file)) {
      const version = readPackage(file).version ?? 'unversioned'
      const real = dirname(realpathSync(file))
      return real.split(sep).includes('node_modules') ? version : `${version} ${sourcesDigest(name, real)}`
    }
    if (dirname(at) === at) return undefined
  }
}

/** Whether an identity holds a sum of sources. */
export function isLinked(identity: string): boolean {
  return identity.includes(' ')
}

/**
 * What `#name` stands for in a file: a path or another package, by the nearest package.json. Fails with E_INPUT where
 * that depends on conditions or patterns.
 */
export function subpathTarget(specifier: string, importer: string): string {
  for (let at = dirname(importer); ; at = dirname(at)) {
    const file = join(at, 'package.json')
    if (isFile(file)) {
      const target = readPackage(file).imports?.[specifier]
      if (typeof target === 'string') return target.startsWith('.') ? join(at, target) : target
    } else if (dirname(at) !== at) continue
    throw new FleetsieError('E_INPUT', `imports ${JSON.stringify(specifier)}, which cannot be followed`, {
      file: importer,
      hint: `give it one path under "imports" in package.json, or import the file itself: './name.ts'`,
    })
  }
}

/** Too much costs a rebuild, too little would give stale results: every source counts, imported or not. */
function sourcesDigest(name: string, folder: string): string {
  const lines: string[] = []
  const walk = (below: string): void => {
    for (const entry of readdirSync(join(folder, below), { withFileTypes: true })) {
      if (entry.name === 'node_modules' || entry.name.startsWith('.')) continue
      const path = join(below, entry.name)
      if (entry.isDirectory()) walk(path)
      else if (isSource.test(entry.name) && isFile(join(folder, path))) {
        lines.push(`${JSON.stringify(path)} ${sha256Hex(readFileSync(join(folder, path)))}\n`)
      }
      if (lines.length > mostSources) {
        throw new FleetsieError('E_INPUT', `the linked package ${name} has over ${mostSources} sources`, {
          file: folder,
          hint: 'install a copy of it: npm install --install-links',
        })
      }
    }
  }
  walk('')
  return sha256Hex(lines.sort().join(''))
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false
}

function readPackage(file: string): PackageJson {
  return JSON.parse(readFileSync(file, 'utf8')) as PackageJson
}
